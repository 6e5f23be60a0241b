"""Turns of transcripts have their roles, whatever template wrote them, and are written by the policy's own."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.params.schema import Data, Params
from pipeline.reading.chats import Message, Unreadable
from pipeline.reading.styles import Style
from pipeline.reading.turn_marks import read_turns, without_ending
from tests.reading.layouts.reading import preference, read
from tests.reading.test_transcripts import TEMPLATES, transcript, words
from tests.tiny_models import changed

TOKENS = ("chatml", "zephyr", "llama2", "llama3", "gemma")
SYSTEMS = {
    "chatml": "<|im_start|>system\nBe kind.<|im_end|>\n",
    "llama3": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>",
    "zephyr": "<|system|>\nBe kind.</s>\n",
    "bot": "System: Be kind.\n",
    "hh": "\n\nSystem: Be kind.",
}
HEAD = "\n\nHuman: Hi\n\nAssistant: Ho\n\nHuman: Why?\n\nAssistant:"
KIND = [Message("system", "Be kind."), Message("user", "Hi"), Message("assistant", "Ho"), Message("user", "Why?")]


@pytest.fixture
def data(params: Params) -> Data:
    return changed(params.data, format="auto", source="rows.jsonl")


@pytest.mark.parametrize("name", [name for name in TEMPLATES if name != "hh"])
@given(turns=st.lists(st.tuples(words, words), max_size=2), question=words)
def test_every_template_says_who_said_what(name: str, turns: list[tuple[str, str]], question: str) -> None:
    said = [(role, text) for turn in turns for role, text in zip(("user", "assistant"), turn, strict=True)]
    found = read_turns(transcript(name, turns, question))
    assert found == ([Message(role, text) for role, text in [*said, ("user", question)]], name in TOKENS)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_systems_turn_is_the_systems(name: str) -> None:
    found = read_turns(SYSTEMS[name] + transcript(name, [("Hi", "Ho")], "Why?"))
    assert found and found[0] == KIND


def test_the_systems_text_of_llama_2_is_inside_the_first_turn() -> None:
    first = "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHi [/INST] Ho </s><s>[INST] Why? [/INST]"
    found = read_turns(first)
    assert found and found[0] == KIND


@pytest.mark.parametrize(
    "text",
    [
        "Why?",
        "User: Choose.\nA: yes\nB: no\nBot:",
        "Rate this.\n\n### Instruction:\nHi\n\n### Response:\n",
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHo",
        "User: Hi\nUser: Hi\nBot:",
        "Bot:",
    ],
)
def test_other_texts_have_no_turns(text: str) -> None:
    assert read_turns(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<|im_start|>tool\n3<|im_end|>\n<|im_start|>assistant\n", "unknown_role"),
        ("<|im_start|>user\na<|im_end|>\n<|im_start|>user\nb<|im_end|>\n<|im_start|>assistant\n", "roles_out_of_order"),
    ],
)
def test_tokens_of_other_turns_are_refused(text: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read_turns(text)


@pytest.mark.parametrize("prompt", [{}, {"prompt": "Why?"}, {"prompt": "Hi"}])
@pytest.mark.parametrize("name", TOKENS)
def test_transcripts_of_tokens_are_chats(name: str, prompt: dict[str, str], data: Data) -> None:
    asked, end = transcript(name, [("Hi", "Ho")], "Why?"), TEMPLATES[name][2]
    row = {**prompt, "chosen": f"{asked} good{end}", "rejected": f"{asked} bad{end}"}
    _, (entry,) = read([row], data)
    assert preference(entry) == (HEAD, " good", " bad")


@pytest.mark.parametrize("name", [name for name in TEMPLATES if name != "hh"])
def test_beside_chats_every_transcript_is_one(name: str) -> None:
    asked = transcript(name, [("Hi", "Ho")], "Why?")
    assert Style(wraps=True).transcript(asked, " good", " bad") == (HEAD, " good", " bad")


@pytest.mark.parametrize("name", ["guanaco", "bot", "vicuna", "hh"])
def test_transcripts_of_names_beside_a_prompt_of_theirs_are_cut(name: str, data: Data) -> None:
    asked = transcript(name, [("Hi", "Ho")], "Why?")
    _, (entry,) = read([{"prompt": "Why?", "chosen": f"{asked} good", "rejected": f"{asked} bad"}], data)
    prompt, *answers = preference(entry)
    assert (prompt.rstrip(" "), [text.strip() for text in answers]) == (asked, ["good", "bad"])


def test_a_dialogue_that_answers_a_prompt_is_an_answer(data: Data) -> None:
    row = {"prompt": "Write a talk.", "chosen": "User: Hi\nBot: Hello", "rejected": "User: Hi\nBot: Who?"}
    _, (entry,) = read([row], data)
    assert preference(entry) == ("Write a talk.", row["chosen"], row["rejected"])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "Where?"}, "prompt_is_not_in_the_chat"),
        ({"rejected": transcript("chatml", [], "Where?") + "no"}, "no_shared_turn"),
        ({"rejected": transcript("chatml", [("Why?", "x")], "More?") + "no"}, "turn_in_response"),
    ],
)
def test_transcripts_of_tokens_are_never_answers(row: dict[str, Any], reason: str, data: Data) -> None:
    asked = transcript("chatml", [], "Why?")
    pair = {"prompt": "Why?", "chosen": f"{asked}yes", "rejected": f"{asked}no"}
    _, (entry,) = read([{**pair, **row}], data)
    assert (entry.record, entry.reason) == (None, reason) and entry.seen


def test_tokens_at_the_end_are_left_out_and_white_space_costs_no_time() -> None:
    assert without_ending("Yes. <|eot_id|> </s>\n") == "Yes."
    assert without_ending("Yes. \n") == "Yes. \n"
    spaces = "a" + " " * 200_000 + "b"
    assert without_ending(spaces) == spaces  # quadratic, it would take minutes


@pytest.mark.parametrize("name", TOKENS)
def test_a_prompt_of_tokens_is_a_chat_also_beside_plain_responses_and_alone(name: str, data: Data) -> None:
    asked = transcript(name, [("Hi", "Ho")], "Why?")
    _, (entry,) = read([{"prompt": asked, "chosen": "good", "rejected": "bad"}], data)
    assert preference(entry) == (HEAD, " good", " bad")
    _, (entry,) = read([{"prompt": asked}], data)
    assert entry.record == {"prompt": HEAD}


def test_beside_chats_a_transcript_of_hh_rlhf_before_plain_responses_is_taken_apart(data: Data) -> None:
    assert Style(wraps=True).texts(HEAD, "good") == (HEAD, " good")
    assert Style().texts(HEAD, "good") == (HEAD, "good")
    few_shots = "Q: 1+1?\nA: 2\nQ: 2+2?\nA:"
    assert Style(wraps=True).texts(few_shots, "4") == (f"\n\nHuman: {few_shots}\n\nAssistant:", " 4")


def test_a_heading_before_both_responses_is_no_prompt(data: Data) -> None:
    row = {"prompt": "Hi", "chosen": "### Response:\ngood", "rejected": "### Response:\nbad"}
    _, (entry,) = read([row], data)
    assert preference(entry) == ("Hi", row["chosen"], row["rejected"])
