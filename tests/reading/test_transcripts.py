"""Transcripts are cut at the last turn of the template around them, and no turn is left inside a response."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reading.chats import Unreadable
from pipeline.reading.transcripts import split_transcripts

TEMPLATES = {
    "hh": ("\n\nHuman: ", "\n\nAssistant:", ""),
    "chatml": ("<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>\n"),
    "zephyr": ("<|user|>\n", "<|assistant|>\n", "</s>\n"),
    "llama2": ("<s>[INST] ", " [/INST]", " </s>"),
    "llama3": (
        "<|start_header_id|>user<|end_header_id|>\n\n",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<|eot_id|>",
    ),
    "gemma": ("<start_of_turn>user\n", "<start_of_turn>model\n", "<end_of_turn>\n"),
    "alpaca": ("### Instruction:\n", "\n\n### Response:\n", "\n\n"),
    "guanaco": ("### Human: ", "### Assistant:", "\n"),
    "bot": ("User: ", "\nBot:", "\n"),
    "single line": ("Human: ", "\nAssistant:", "\n"),
    "vicuna": ("USER: ", " ASSISTANT:", "</s>"),
}  # fmt: skip
words = st.text("abc .", min_size=1, max_size=12).filter(lambda text: text.strip() == text)


def transcript(name: str, turns: list[tuple[str, str]], question: str) -> str:
    user, assistant, end = TEMPLATES[name]
    ended = "\n" if name == "guanaco" else ("" if name in ("llama2", "alpaca", "bot", "single line", "vicuna") else end)
    said = "".join(f"{user}{asked}{ended}{assistant}{told}{end}" for asked, told in turns)
    return f"{said}{user}{question}{ended}{assistant}"


@pytest.mark.parametrize("name", TEMPLATES)
@given(turns=st.lists(st.tuples(words, words), max_size=2), question=words, chosen=words, rejected=words)
def test_the_last_shared_turn_of_any_template(
    name: str, turns: list[tuple[str, str]], question: str, chosen: str, rejected: str
) -> None:
    prompt, end = transcript(name, turns, question), TEMPLATES[name][2]
    found = split_transcripts(f"{prompt}{chosen}{end}", f"{prompt}{rejected}{end}")
    assert found[0] == prompt
    assert [text.strip() for text in found[1:]] == [chosen, rejected]


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_response_with_turns_of_its_own_is_refused(name: str) -> None:
    prompt = transcript(name, [], "Why?")
    with pytest.raises(Unreadable, match="turn_in_response"):
        split_transcripts(transcript(name, [("Why?", "Yes.")], "More?") + "No.", f"{prompt}Never.")


@pytest.mark.parametrize("inner", ["hh", "bot"])
@pytest.mark.parametrize("outer", ["alpaca", "chatml"])
def test_a_transcript_inside_another_template_is_part_of_its_prompt(outer: str, inner: str) -> None:
    quoted = transcript(inner, [("Hi", "Hello"), ("And?", "So.")], "Now?").strip()
    prompt, end = transcript(outer, [], f"Rate this:\n\n{quoted}"), TEMPLATES[outer][2]
    assert split_transcripts(f"{prompt}Good.{end}", f"{prompt}Bad.{end}")[0] == prompt


def test_headings_of_an_answer_are_no_turns() -> None:
    prompt = "### Instruction:\nWrite.\n\n### Response:\n"
    answers = [f"### Overview:\n{word}\n\n### End:\nBye {word}" for word in ("One", "Two")]
    assert split_transcripts(prompt + answers[0], prompt + answers[1]) == (prompt, *answers)


def test_the_headings_around_a_judged_response_belong_to_neither() -> None:
    start = (
        "###Task Description:\nRate.\n\n###The instruction to evaluate:\n\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\n"
    )
    start += "###Response to evaluate:\n"
    end = "\n\n###Score Rubrics:\n[Is it kind?]\nScore 1: no\n\n###Feedback: "
    assert split_transcripts(f"{start}No.{end}", f"{start}Go.{end}") == (start, "No.", "Go.")


def test_transcripts_are_cut_after_a_turn_and_never_inside_a_word() -> None:
    prompt = "\n\nHuman: Why?\n\nAssistant: Well.\n\nHuman: Go on.\n\nAssistant:"
    # both answers begin alike: a common beginning of letters would cut "Because" in two
    assert split_transcripts(f"{prompt} Because.", f"{prompt} Becoming.") == (prompt, " Because.", " Becoming.")
    assert split_transcripts(prompt + " Yes.", prompt + " Yes. No.") == (prompt, " Yes.", " Yes. No.")
    with pytest.raises(Unreadable, match="no_shared_turn"):
        split_transcripts("\n\nHuman: a\n\nAssistant: x", "\n\nHuman: b\n\nAssistant: x")


def test_other_transcripts_are_cut_at_their_marks() -> None:
    marked = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    assert split_transcripts(marked + "Yes", marked + "Yet") == (marked, "Yes", "Yet")
    start, end = "### Task:\nRate.\n\n### Response:\n", "\n\n### Rubric:\n1. Kind?\n"
    assert split_transcripts(f"{start}No.{end}", f"{start}Go.{end}") == (start, "No.", "Go.")
    # a list that both responses end with is theirs
    assert split_transcripts(f"{start}No. So", f"{start}Go. So") == (start, "No. So", "Go. So")


def test_a_turn_right_behind_the_token_that_ends_a_response_is_a_turn() -> None:
    prompt = "USER: Why? ASSISTANT:"
    with pytest.raises(Unreadable, match="turn_in_response"):
        split_transcripts(f"{prompt} Yes.</s>USER: More?", f"{prompt} No.</s>")
