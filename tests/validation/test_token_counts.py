"""Counts of tokens by words are those of the tokenizer on the whole texts."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from pipeline.validation.token_counts import _PATTERNS, TokenCounter, begins_pieces_at_spaces

_SENTENCES = [
    "The film, that isn't bad, was 1234 minutes long.",
    "caf\u00e9 \u6f22\u5b57 don't do it  again\n\n7 8",
]
_LLAMA, _QWEN = _PATTERNS


def bpe(pre_tokenizer: Any, normalizer: Any = None) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<|end|>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(_SENTENCES * 50, trainer)
    return tokenizer


def split(pattern: str) -> Any:
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )


CUT: dict[str, Callable[[], Tokenizer]] = {
    "gpt2": lambda: bpe(pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "smollm": lambda: bpe(
        pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    ),
    "llama": lambda: bpe(split(_LLAMA)),
    "qwen": lambda: bpe(split(_QWEN), normalizers.NFC()),
}
WHOLE: dict[str, Callable[[], Tokenizer]] = {
    "prefix_space": lambda: bpe(pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "no_pieces": lambda: bpe(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)),
    "other_pattern": lambda: bpe(split(r"\w+|\s+")),
    "lower_case": lambda: bpe(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.Lowercase()),
    "metaspace": lambda: bpe(pre_tokenizers.Metaspace()),
}
PIECES = (
    " ", "  ", "\n", "\t", "a", "The", "caf\u00e9", "\u0301", "1", "234", ".", "!!", "'s", "<|end|>", "\u6f22",
    "\u00a0", "\u3000", "\x1c", "\u200b", "\u2028", "\r\n",
)  # fmt: skip
TEXTS = st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), max_size=6)
_MADE: dict[str, Tokenizer] = {}


def made(name: str) -> Tokenizer:
    return _MADE.setdefault(name, (CUT | WHOLE)[name]())


_QUICK = ("llama", "metaspace")
_OTHERS = [
    pytest.param(name, marks=pytest.mark.slow(beside="test_counts_are_those_of_whole_texts"))
    for name in [*CUT, *WHOLE]
    if name not in _QUICK
]


@pytest.mark.parametrize("name", [*_QUICK, *_OTHERS])
@settings(max_examples=150, deadline=None)
@given(texts=TEXTS)
def test_counts_are_those_of_whole_texts(name: str, texts: list[str]) -> None:
    tokenizer = made(name)
    expected = [len(tokenizer.encode(text, add_special_tokens=False)) for text in texts]
    counter = TokenCounter(tokenizer)
    assert counter.count(texts).tolist() == expected
    assert counter.count([*texts, "a b"]).tolist()[: len(texts)] == expected


@pytest.mark.parametrize("name", [*CUT, *WHOLE])
def test_only_tokenizers_that_allow_it_are_cut_at_spaces(name: str) -> None:
    assert TokenCounter(made(name)).cuts_at_spaces == (name in CUT)


def test_an_added_token_that_takes_the_space_behind_it_is_read_whole() -> None:
    tokenizer = bpe(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.add_tokens([AddedToken("<mask>", rstrip=True)])
    assert not begins_pieces_at_spaces(json.loads(tokenizer.to_str()))
    text = "a <mask> film"
    assert TokenCounter(tokenizer).count([text]).tolist() == [len(tokenizer.encode(text, add_special_tokens=False))]
