"""The assistant's earlier turns in a prompt: exactly what the model writes, with the token that ends it."""

import pickle
from pathlib import Path

import pytest

from pipeline.reading.chats import Message
from pipeline.reading.templates import load_style
from pipeline.reading.written_prompts import WrittenPrompt
from tests.chat_templates import QWEN3, TEMPLATES, WITHOUT_SYSTEM, chat_tokenizer

CHAT = [
    Message("user", "Name a film."),
    Message("assistant", "Alien, of 1979."),
    Message("user", "Who made it?"),
    Message("assistant", "Ridley Scott."),
    Message("user", "And after it?"),
]
SYSTEM = Message("system", "Speak of films.")
ENDS = {
    "llama3": "<|eot_id|>",
    "gemma": "<end_of_turn>",
    "phi3": "<|end|>",
    "chatml": "<|im_end|>",
    "qwen2": "<|im_end|>",
}


def written(folder: Path, template: str, chat: list[Message]) -> WrittenPrompt:
    chat_tokenizer(template).save_pretrained(folder)
    prompt = load_style("template", folder, separator="").prompt(chat)
    assert isinstance(prompt, WrittenPrompt)
    return prompt


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_turn_is_what_the_model_writes_and_nothing_else(tmp_path: Path, name: str) -> None:
    chat = CHAT if name in WITHOUT_SYSTEM else [SYSTEM, *CHAT]
    prompt = written(tmp_path, name, chat)
    end = ENDS.get(name, "</s>")
    assert prompt.lost == ""
    said = [prompt[start:stop] for start, stop in prompt.turns]
    answers = [message.content for message in CHAT if message.role == "assistant"]
    assert [text.strip().removesuffix(end).strip() for text in said] == answers
    assert all(text.endswith(end) for text in said)


@pytest.mark.parametrize("name", TEMPLATES)
def test_before_a_turn_stands_what_the_model_is_asked_with(tmp_path: Path, name: str) -> None:
    """As if the conversation had been at this turn: the same prompt, and what SFT would learn of it as the last."""
    prompt = written(tmp_path, name, CHAT)
    style = load_style("template", tmp_path, separator="")
    for (start, stop), at in zip(prompt.turns, (1, 3), strict=True):
        assert prompt[:start] == style.prompt(CHAT[:at])
        response, end = style.response(CHAT[at]), ENDS.get(name, "</s>")
        # Zephyr's own template leaves the line break behind <|assistant|> to the answer
        assert prompt[start:stop] == response + end


def test_a_template_that_drops_earlier_thoughts_is_named_with_what_differs(tmp_path: Path) -> None:
    chat = [
        Message("user", "Hi"), Message("assistant", "<think>\nA greeting.\n</think>\n\nHello"), Message("user", "Who?"),
    ]  # fmt: skip
    prompt = written(tmp_path, QWEN3, chat)
    assert prompt.turns == ()
    assert "message 2" in prompt.lost and "<think>" in prompt.lost and "Hello" in prompt.lost
    # without thoughts, too: an empty one is written in the last answer alone
    assert "message 2" in written(tmp_path, QWEN3, [*chat[:1], Message("assistant", "Hello"), chat[2]]).lost


def test_a_template_without_an_end_of_turn_has_none_to_learn(tmp_path: Path) -> None:
    turns = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    plain = turns + "{% if add_generation_prompt %}assistant:{% endif %}"
    assert "no token behind an answer" in written(tmp_path, plain, CHAT).lost


def test_a_prompt_of_one_question_is_a_text(tmp_path: Path) -> None:
    chat_tokenizer("chatml").save_pretrained(tmp_path)
    assert type(load_style("template", tmp_path, separator="").prompt(CHAT[:1])) is str


def test_it_is_the_same_after_it_waited_on_the_disk(tmp_path: Path) -> None:
    prompt = written(tmp_path, "chatml", CHAT)
    again = pickle.loads(pickle.dumps(prompt, pickle.HIGHEST_PROTOCOL))
    assert (again, again.turns, again.lost) == (prompt, prompt.turns, "")
    assert type(str(prompt)) is str
