"""What a shared folder tells: the template is the format of training, the settings are those of sampling."""

import json
import os
from pathlib import Path

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pipeline.params.schema import Params
from pipeline.reading.chats import Message, render_prompt, render_response
from pipeline.release.serving import name_score, own_template, trained_template, write_sampling, write_template

CHAT = [
    Message("system", "Be brief."), Message("user", 'What "is" it?\n\nHm.'), Message("assistant", "A {{ cat }}."),
    Message("user", "Why?"),
]  # fmt: skip


def written(template: str, messages: list[Message], *, ask: bool) -> str:
    """By the engine and the settings of transformers."""
    engine = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    chat = [{"role": one.role, "content": one.content} for one in messages]
    return engine.from_string(template).render(messages=chat, add_generation_prompt=ask)


def test_transcripts_are_written_as_they_were_read() -> None:
    prompt = render_prompt(CHAT)
    template = trained_template(["plain", prompt])
    assert written(template, CHAT, ask=True) == prompt
    answer = Message("assistant", "So.")
    assert written(template, [*CHAT, answer], ask=False) == prompt + render_response(answer)


def test_a_plain_prompt_is_itself() -> None:
    template = trained_template(["the first words", "of a text"])
    assert written(template, [Message("user", "the first words")], ask=True) == "the first words"
    whole = [Message("user", "the first words"), Message("assistant", "go on")]
    assert written(template, whole, ask=False) == "the first words go on"


@pytest.mark.parametrize("stored", ["file", "config", "both"])
def test_the_template_of_the_starting_model_is_replaced(tmp_path: Path, stored: str) -> None:
    config = {"chat_template": "old", "eos_token": "</s>"} if stored != "file" else {"eos_token": "</s>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    if stored != "config":
        (tmp_path / "chat_template.jinja").write_text("old")
    assert own_template(tmp_path) == "old"
    write_template(tmp_path, "new")
    assert own_template(tmp_path) == "new"
    assert json.loads((tmp_path / "tokenizer_config.json").read_text()) == {"eos_token": "</s>"}


def test_the_files_that_were_linked_stay_as_they_are(tmp_path: Path, params: Params) -> None:
    trained, shared = tmp_path / "trained", tmp_path / "shared"
    trained.mkdir()
    shared.mkdir()
    for name in ("config.json", "generation_config.json"):
        (trained / name).write_text('{"eos_token_id": 2, "_from_model_config": true}')
        os.link(trained / name, shared / name)
    write_sampling(shared, params.sampling)
    name_score(shared)
    settings = json.loads((shared / "generation_config.json").read_text())
    assert settings["temperature"] == params.sampling.temperature and settings["eos_token_id"] == 2
    assert settings["do_sample"] is True and "_from_model_config" not in settings
    assert json.loads((shared / "config.json").read_text())["id2label"] == {"0": "reward"}
    for name in ("config.json", "generation_config.json"):
        assert (trained / name).read_text() == '{"eos_token_id": 2, "_from_model_config": true}'
