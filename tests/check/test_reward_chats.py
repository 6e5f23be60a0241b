"""A bought reward model reads chats by its own template: what that refuses is known before anything is fetched."""

import re
import types
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForSequenceClassification

from tests.chat_templates import TEMPLATES, chat_tokenizer
from tests.tiny_models import llama_config, save_llama_policy

Project = types.SimpleNamespace
CANDIDATE = {
    "name": "bought",
    "source": "data/bought",
    "revision": None,
    "trust_remote_code": False,
    "dtype": "float32",
}
SYSTEM = {"role": "system", "content": "Be brief."}


def chats(*, system: bool) -> list[dict[str, Any]]:
    found = []
    for number in range(100):
        asked = [*([SYSTEM] if system else []), {"role": "user", "content": f"Q {number}?"}]
        sides = {side: [*asked, {"role": "assistant", "content": side}] for side in ("chosen", "rejected")}
        found.append(sides)
    return found


def save_reward_model(folder: Path, template: object) -> None:
    tokenizer = chat_tokenizer("chatml")
    tokenizer.chat_template = template
    LlamaForSequenceClassification(llama_config(tokenizer, num_labels=1)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize(
    ("template", "system", "said"),
    [
        (TEMPLATES["zephyr"], True, None),
        (TEMPLATES["gemma"], False, None),
        (TEMPLATES["gemma"], True, "refuses a chat .*System role not supported"),
        ("{{ 1 / 0 }}", False, "fails on every chat, such as one question: .*division by zero"),
        (
            {"rag": TEMPLATES["chatml"], "tool_use": TEMPLATES["zephyr"]},
            False,
            r"several chat templates \(rag, tool_use\)",
        ),
    ],
    ids=["zephyr", "gemma", "gemma_with_system", "broken", "several"],
)
def test_what_its_template_refuses_is_an_error_of_the_check(
    project: Project, template: object, system: bool, said: str | None
) -> None:
    project.write(chats(system=system))
    save_llama_policy(project.root / "data/chat", chat_tokenizer("qwen2"))
    save_reward_model(project.root / "data/bought", template)
    findings = project.check(
        models__policy__source="data/chat",
        models__reward_backbone__source="data/bought",
        models__reward_backbone__is_reward_model=True,
    )
    found = [one for one in findings.errors if one.key == "models.reward_backbone.source"]
    if said is None:
        assert found == []
    else:
        (error,) = found
        assert re.search(said, error.message)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"evaluate_reward__candidates": [CANDIDATE]}, "evaluate_reward.candidates"),
        (
            {"judge__kind": "reward_model", "judge__reward_model__source": "data/bought"},
            "judge.reward_model.source",
        ),
    ],
    ids=["candidate", "judge"],
)
def test_candidates_and_judges_read_chats_by_their_own_templates_too(
    project: Project, changes: dict[str, Any], key: str
) -> None:
    save_llama_policy(project.root / "data/chat", chat_tokenizer("qwen2"))
    save_reward_model(project.root / "data/bought", TEMPLATES["gemma"])
    for system in (False, True):
        project.write(chats(system=system))
        findings = project.check(models__policy__source="data/chat", **changes)
        found = [one for one in findings.errors if one.key == key]
        assert len(found) == system
        assert all("System role not supported" in one.message for one in found)
