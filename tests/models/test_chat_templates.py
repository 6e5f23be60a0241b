"""A chat template by name: turns with an end that is a token, and refusals that say what to take instead."""

from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.models.chat_templates import TEMPLATES, give_template
from pipeline.models.sources import load_source_policy, load_source_tokenizer
from pipeline.params.schema import PolicySource
from pipeline.reading.chats import Message
from pipeline.reading.templates import load_style
from pipeline.reading.written_prompts import WrittenPrompt
from tests.chat_templates import TEMPLATES as BROUGHT
from tests.chat_templates import chat_tokenizer
from tests.tiny_models import byte_level_tokenizer

CHAT = [Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Why?")]


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_keeps_its_turns_and_ends_them_with_a_token(name: str, tmp_path: Path) -> None:
    tokenizer = chat_tokenizer(None)
    give_template(tokenizer, name)
    tokenizer.save_pretrained(tmp_path)
    style = load_style("auto", tmp_path, separator="")
    prompt = style.prompt(CHAT)
    assert isinstance(prompt, WrittenPrompt) and not prompt.lost and len(prompt.turns) == 1
    assert "Be brief." in prompt and style.end_of_turn
    assert style.response(Message("assistant", "Because.")).strip() == "Because."


@pytest.mark.parametrize("name", ["chatml", "llama3", "phi3", "gemma"])
def test_it_writes_what_the_model_of_this_name_writes(name: str) -> None:
    chat = [{"role": one.role, "content": one.content} for one in CHAT[1:]]
    given, brought = chat_tokenizer(None), chat_tokenizer(name)
    give_template(given, name)
    assert BROUGHT[name] != TEMPLATES[name]
    for tokenizer in (given, brought):
        tokenizer.bos_token = "<s>"
    texts = [
        tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        for tokenizer in (given, brought)
    ]
    assert texts[0] == texts[1]


def test_a_mark_that_is_no_token_is_refused_with_the_template_that_needs_none() -> None:
    for name in ("chatml", "llama3", "phi3", "gemma"):
        with pytest.raises(PipelineError, match=r"no token <.*Use zephyr"):
            give_template(byte_level_tokenizer(), name)
    tokenizer = byte_level_tokenizer()
    give_template(tokenizer, "zephyr")
    assert tokenizer.chat_template == TEMPLATES["zephyr"]
    tokenizer.eos_token = None
    with pytest.raises(PipelineError, match="turns end with EOS, and the tokenizer has none"):
        give_template(tokenizer, "zephyr")


def test_a_file_is_read_and_a_wrong_name_is_none(tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text("{{ messages[0].content }}")
    tokenizer = byte_level_tokenizer()
    give_template(tokenizer, str(file))
    assert tokenizer.chat_template == "{{ messages[0].content }}"
    with pytest.raises(PipelineError, match=r"'chatlm' is neither one of chatml, .*nor a file"):
        give_template(tokenizer, "chatlm")


def test_the_policy_is_fetched_and_checked_with_it(policy_folder: Path, tmp_path: Path) -> None:
    source = PolicySource(
        source=str(policy_folder), revision=None, trust_remote_code=False, dtype="float32", chat_template="zephyr"
    )
    _, tokenizer = load_source_policy(source, key="models.policy.source")
    tokenizer.save_pretrained(tmp_path)
    checked = load_source_tokenizer(source, key="models.policy.source")
    assert checked.chat_template == tokenizer.chat_template == TEMPLATES["zephyr"]
    assert load_style("auto", tmp_path, separator="").name == "template"
