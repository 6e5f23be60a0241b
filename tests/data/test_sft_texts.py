"""What SFT learns of a row: its last answer, or every turn of the assistant and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.data.sft_texts import cut_responses, sft_examples, why_untrained
from pipeline.data.tokens import TokenizedExample, cut_response
from pipeline.errors import PipelineError
from pipeline.reading.chats import Message
from pipeline.reading.templates import load_style
from tests.chat_templates import TEMPLATES, chat_tokenizer

CHAT = [Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Why?")]


def row(folder: Path, name: str) -> tuple[Any, dict[str, Any], str | None]:
    tokenizer = chat_tokenizer(name)
    tokenizer.save_pretrained(folder)
    style = load_style("template", folder, separator="")
    prompt, response = style.prompt(CHAT), style.response(Message("assistant", "Because."))
    turns = [list(turn) for turn in prompt.turns]  # type: ignore[attr-defined]
    return (
        tokenizer,
        {"id": "0", "prompt": prompt, "response": response, "ended": True, "turns": turns},
        style.end_of_turn,
    )


@pytest.mark.parametrize("name", TEMPLATES)
def test_all_turns_are_learned_with_their_ends_and_nothing_of_the_user(tmp_path: Path, name: str) -> None:
    tokenizer, text, end = row(tmp_path, name)
    (last,) = sft_examples(tokenizer, [text], turns="last", end_of_turn=end)
    (example,) = sft_examples(tokenizer, [text], turns="all", end_of_turn=end)
    # the model reads the same sequence, and learns more of it
    assert example.prompt_ids + example.response_ids == last.prompt_ids + last.response_ids
    assert example.trained is not None and last.trained is None
    assert example.trained_tokens > last.trained_tokens
    learned = [token for token, trained in zip(example.response_ids, example.trained, strict=True) if trained]
    ending = example.response_ids[-1]
    assert learned.count(ending) == 2
    first, second = tokenizer.decode(learned).split(tokenizer.decode([ending]))[:2]
    assert (first.strip(), second.strip()) == ("Yes?", "Because.")
    assert "Why" not in tokenizer.decode(learned)


def test_a_cut_takes_what_is_learned_with_it(tmp_path: Path) -> None:
    tokenizer, text, end = row(tmp_path, "chatml")
    (example,) = sft_examples(tokenizer, [text], turns="all", end_of_turn=end)
    assert example.trained is not None
    short = cut_response(example, len(example) - 3)
    assert short.trained == example.trained[:-3] and len(short.trained) == len(short.response_ids)


def test_what_cannot_be_told_is_refused_with_the_reason() -> None:
    tokenizer = chat_tokenizer("chatml")
    text = {"id": "7", "prompt": "x", "response": "y", "ended": True, "turns_lost": "the template drops thoughts"}
    with pytest.raises(PipelineError, match=r"text 7 .* drops thoughts\. Set train_sft\.turns to last"):
        sft_examples(tokenizer, [text], turns="all", end_of_turn="<|im_end|>\n")
    assert sft_examples(tokenizer, [text], turns="last", end_of_turn="<|im_end|>\n")
    transcript = {**text, "prompt": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:", "turns_lost": None}
    with pytest.raises(PipelineError, match="in a transcript no token ends an answer"):
        sft_examples(tokenizer, [transcript], turns="all", end_of_turn=None)


def test_a_chat_model_and_chosen_answers_alone_leave_nothing_to_train() -> None:
    pair, demonstration = {"preferred": True}, {"prompt": "x"}
    assert why_untrained([], None, False, template_is_its_own=True) == "the data has prompts alone"
    assert why_untrained([demonstration], None, True, template_is_its_own=False) == "train_sft.skip is true"
    assert why_untrained([pair], "hash", "auto", template_is_its_own=True)
    assert why_untrained([pair, demonstration], "hash", "auto", template_is_its_own=True) is None
    assert why_untrained([pair], None, "auto", template_is_its_own=True) is None
    assert why_untrained([pair], "hash", "auto", template_is_its_own=False) is None
    assert why_untrained([pair], "hash", False, template_is_its_own=True) is None


def test_responses_that_were_cut_are_counted_and_those_that_just_fit_are_not() -> None:
    fits, longer = TokenizedExample([1, 2], [3, 4]), TokenizedExample([1, 2], [3, 4, 5])
    assert cut_responses([fits, longer], 4) == ([fits, fits], 1)
