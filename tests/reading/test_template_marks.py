"""A chat that a template has written is read back, message by message, for another template to write."""

from pathlib import Path

import pytest

from pipeline.reading.chats import Message
from pipeline.reading.template_marks import TemplateMarks
from pipeline.reading.templates import TemplateStyle, load_style
from tests.chat_templates import QWEN3, TEMPLATES, WITHOUT_SYSTEM, chat_tokenizer

CHAT = [
    Message("user", "Name a film."), Message("assistant", "Alien, of 1979."), Message("user", "Who made it?"),
    Message("assistant", "Ridley Scott."), Message("user", "And\n\nafter it?"),
]  # fmt: skip
SYSTEM = Message("system", "Speak of films.")
ANSWER = Message("assistant", "Blade Runner.")


def style_of(folder: Path, name: str) -> TemplateStyle:
    chat_tokenizer(name).save_pretrained(folder)
    style = load_style("template", folder, separator="")
    assert isinstance(style, TemplateStyle)
    return style


@pytest.mark.parametrize("length", [1, 3, 5])
@pytest.mark.parametrize("name", [*TEMPLATES, "qwen3"])
def test_every_chat_is_read_back(tmp_path: Path, name: str, length: int) -> None:
    style = style_of(tmp_path, QWEN3 if name == "qwen3" else name)
    assert style.marks is not None
    for chat in (CHAT[:length], [SYSTEM, *CHAT[:length]]):
        if chat[0] == SYSTEM and name in WITHOUT_SYSTEM:
            assert style.marks.begin_system is None
            continue
        read = style.marks.read(style.prompt(chat) + style.response(ANSWER))
        assert read is not None and read[:-1] == chat
        # a thought that Qwen 3 writes into every last answer is part of what a policy says
        assert read[-1].content.removeprefix("<think>\n\n</think>\n\n") == ANSWER.content


def test_a_default_system_prompt_is_none_of_the_chat(tmp_path: Path) -> None:
    style = style_of(tmp_path, "qwen2")
    assert style.marks is not None and "helpful assistant" in style.marks.begin
    read = style.marks.read(style.prompt(CHAT[:1]) + "Yes")
    assert read == [CHAT[0], Message("assistant", "Yes")]


def test_other_texts_are_no_chats(tmp_path: Path) -> None:
    style = style_of(tmp_path, "chatml")
    assert style.marks is not None
    prompt = style.prompt(CHAT)
    for text in ("plain", prompt[5:] + "Yes", prompt.removesuffix("<|im_start|>assistant\n"), ""):
        assert style.marks.read(text) is None


def test_a_template_that_rewrites_texts_has_no_marks() -> None:
    assert TemplateMarks.of(lambda messages: "".join(one.content.upper() for one in messages)) is None
    assert TemplateMarks.of(lambda messages: "".join(one.content for one in messages)) is None
