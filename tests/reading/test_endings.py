"""What ends an answer: the end of turn of a chat template, or EOS."""

import pytest
from transformers import PreTrainedTokenizerFast

from pipeline.errors import PipelineError
from pipeline.reading.endings import end_of_turn, end_token_id, is_control_token, mark_id
from tests.tiny_models import byte_level_tokenizer

_TURNS = "{{% for m in messages %}}<|im_start|>{{{{ m.role }}}}\n{{{{ m.content }}}}{end}{{% endfor %}}"


def templated(end: str, *, known: tuple[str, ...] = ("<|im_start|>", "<|im_end|>")) -> PreTrainedTokenizerFast:
    tokenizer = byte_level_tokenizer()
    tokenizer.add_tokens(list(known))
    tokenizer.chat_template = _TURNS.format(end=end)
    return tokenizer


@pytest.mark.parametrize(
    ("end", "found", "token"),
    [
        ("<|im_end|>\n", "<|im_end|>\n", "<|im_end|>"),
        (" </s>", "</s>", "</s>"),  # Llama 2: the space belongs to the answer
        ("<|im_end|></s>\n", "<|im_end|></s>\n", "<|im_end|>"),
        ("{{ eos_token }}", "</s>", "</s>"),
        ("\n", None, "</s>"),
        ("<|eot_id|>", None, "</s>"),  # no token of this tokenizer, but characters
        ("{% if m.role == 'assistant' %}<|im_end|>{% endif %}", "<|im_end|>", "<|im_end|>"),
    ],
)
def test_the_end_of_turn_begins_with_the_token_that_ends_an_answer(end: str, found: str | None, token: str) -> None:
    tokenizer = templated(end)
    assert end_of_turn(tokenizer) == found
    assert end_token_id(tokenizer, found) == tokenizer.convert_tokens_to_ids(token)


def test_white_space_is_no_mark_though_it_is_a_token_that_was_added() -> None:
    assert end_of_turn(templated("\n\n", known=("\n\n", "<|im_start|>"))) is None


@pytest.mark.parametrize("template", [None, "{{ raise_exception('no') }}", "{{ messages[0].content }}"])
def test_without_a_template_that_writes_an_answer_there_is_none(template: str | None) -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.chat_template = template
    assert end_of_turn(tokenizer) is None
    assert end_token_id(tokenizer, None) == tokenizer.eos_token_id


def test_of_another_tokenizers_end_of_turn_only_a_token_of_its_own_counts() -> None:
    tokenizer = templated("<|im_end|>")
    assert mark_id(tokenizer, "<|im_end|>\n") == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert mark_id(tokenizer, "<end_of_turn>\n") is None and mark_id(tokenizer, None) is None
    assert end_token_id(tokenizer, "<end_of_turn>\n") == tokenizer.eos_token_id


def test_control_tokens_are_special_and_added_ones() -> None:
    tokenizer = templated("<|im_end|>")
    marks = ["</s>", "<pad>", "<|im_end|>"]
    assert all(is_control_token(tokenizer, one) for one in tokenizer.convert_tokens_to_ids(marks))
    assert not is_control_token(tokenizer, tokenizer("a", add_special_tokens=False)["input_ids"][0])


def test_a_policy_that_could_never_end_is_refused() -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(PipelineError, match="no EOS and its chat template no end of turn"):
        end_token_id(tokenizer, None)
