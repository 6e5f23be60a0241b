"""A chat template that writes the date, and a tokenizer that brings several."""

from datetime import datetime
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from pipeline.errors import PipelineError
from pipeline.models.settled_templates import settle_template
from pipeline.models.sources import load_source_backbone, load_source_policy, load_source_tokenizer
from pipeline.params.schema import BackboneSource, PolicySource
from tests.chat_templates import TEMPLATES, chat_tokenizer
from tests.tiny_models import llama_config

CHAT = [{"role": "user", "content": "Hi"}]
DATED = (
    "{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}\n"
    "{{- '<|im_start|>system\\nToday Date: ' + date_string + '<|im_end|>\\n' }}" + TEMPLATES["chatml"]
)
"""As Llama 3.2 asks for the date."""
SOURCE = {"revision": None, "trust_remote_code": False, "dtype": "float32"}


def saved(folder: Path, template: object) -> Path:
    tokenizer = chat_tokenizer("chatml")
    tokenizer.chat_template = template
    LlamaForCausalLM(llama_config(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def policy_source(folder: Path) -> PolicySource:
    return PolicySource(source=str(folder), chat_template=None, **SOURCE)


def written(tokenizer: PreTrainedTokenizerBase) -> str:
    return str(tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True))


def test_a_template_that_asks_for_the_date_always_gets_the_same(tmp_path: Path) -> None:
    source = policy_source(saved(tmp_path / "dated", DATED))
    chat = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    for tokenizer in (load_source_policy(source, key="x")[1], load_source_tokenizer(source, key="x")):
        assert written(tokenizer) == f"<|im_start|>system\nToday Date: 26 Jul 2024<|im_end|>\n{chat}"
    # what is stored is settled already
    again = str(tokenizer.chat_template)
    settle_template(tokenizer, key="x")
    assert tokenizer.chat_template == again


@pytest.mark.parametrize("directives", ["%d %B %Y", "%Y-%m-%d", "%A, %e %b %y, %H:%M:%S", "%c"])
def test_the_date_is_one_day_in_every_form(directives: str) -> None:
    tokenizer = chat_tokenizer(f"\n  {{% if true %}}{{{{ strftime_now('{directives}') }}}}{{% endif %}} ")
    settle_template(tokenizer, key="x")
    assert written(tokenizer) == "\n" + datetime(2024, 7, 26).strftime(directives) + " "


def test_a_template_without_a_date_stays_as_it_is() -> None:
    tokenizer = chat_tokenizer("chatml")
    settle_template(tokenizer, key="x")
    assert tokenizer.chat_template == TEMPLATES["chatml"]


def test_of_several_templates_the_default_is_taken_and_without_one_their_names_are_said(tmp_path: Path) -> None:
    named = {"default": TEMPLATES["chatml"], "tool_use": TEMPLATES["zephyr"]}
    source = policy_source(saved(tmp_path / "default", named))
    assert load_source_tokenizer(source, key="x").chat_template == TEMPLATES["chatml"]
    folder = saved(tmp_path / "none", {"rag": TEMPLATES["chatml"], "tool_use": TEMPLATES["zephyr"]})
    with pytest.raises(PipelineError, match=r"^models.policy.source: .*\(rag, tool_use\).*models.policy.chat_template"):
        load_source_tokenizer(policy_source(folder), key="models.policy.source")
    # a backbone writes no chats
    backbone = BackboneSource(source=str(folder), is_reward_model=False, **SOURCE)
    assert load_source_backbone(backbone, key="x")[1].chat_template is None
