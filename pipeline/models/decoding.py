"""Turns the tokens of a sampled response into text that continues the text of its prompt."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from pipeline.data.passages import Passage
from pipeline.data.tokens import ResponseBatch, TokenizedExample
from pipeline.reading.endings import is_control_token

_BROKEN = "\ufffd"
"""The character that decoders write for bytes that are not valid UTF-8."""
_ONE_CHARACTER = 3
"""Tokens that the beginning of one character may be left in: UTF-8 has four bytes for it at most."""


@dataclass(frozen=True)
class Continuation(Passage):
    """A sampled response: its text, whether it ended, and its length in tokens (the one that ended it included)."""

    tokens: int


def decode_responses(batch: ResponseBatch, tokenizer: PreTrainedTokenizerBase, stop_ids: Tensor) -> list[Continuation]:
    """Texts of the responses, special tokens left out.

    Args:
        stop_ids: (S,), with which they were sampled.
    """
    stops = set(stop_ids.tolist())
    width = batch.input_ids.shape[1] - batch.response_ids.shape[1]
    rows = zip(batch.input_ids.cpu(), batch.attention_mask.cpu().bool(), batch.response_mask.cpu().bool(), strict=True)
    continuations = []
    for ids, kept, response in rows:
        prompt_ids, response_ids = ids[:width][kept[:width]].tolist(), ids[width:][response].tolist()
        continuations.append(continuation(prompt_ids, response_ids, tokenizer, stops))
    return continuations


def decode_examples(
    examples: Sequence[TokenizedExample], tokenizer: PreTrainedTokenizerBase, stop_ids: Tensor
) -> list[Continuation]:
    """The same for responses that are not in a batch."""
    stops = set(stop_ids.tolist())
    return [continuation(one.prompt_ids, one.response_ids, tokenizer, stops) for one in examples]


def continuation(
    prompt_ids: Sequence[int], response_ids: Sequence[int], tokenizer: PreTrainedTokenizerBase, stops: Collection[int]
) -> Continuation:
    """One response to one prompt, by their tokens without padding.

    The token that ended it is left out if it is a control token; a stop token such as "." is part of the text.
    """
    ended = bool(response_ids) and response_ids[-1] in stops
    said = list(response_ids)
    if ended and is_control_token(tokenizer, said[-1]):
        said.pop()
    text = _text_after(prompt_ids, said, tokenizer)
    if not ended and text.endswith(_BROKEN):
        text = _without_half_a_character(prompt_ids, said, tokenizer)
    return Continuation(text, ended, len(response_ids))


def _text_after(prompt_ids: Sequence[int], response_ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """What the response adds to the decoded prompt.

    Alone, a response would lose the space that it begins with: decoders of SentencePiece take the first one of a text
    away, and those of WordPiece write one before every word but the first.
    """
    anchor = tokenizer("a", add_special_tokens=False)["input_ids"]
    # where both make one run of bytes that is no text, the prompt's own end changes; a letter instead of it does not
    for before in (list(prompt_ids), anchor):
        start, whole = _decode(before, tokenizer), _decode([*before, *response_ids], tokenizer)
        if whole.startswith(start):
            return whole[len(start) :]
    return _decode(response_ids, tokenizer)


def _without_half_a_character(
    prompt_ids: Sequence[int], response_ids: Sequence[int], tokenizer: PreTrainedTokenizerBase
) -> str:
    """The text of a response that was cut inside a character, without the broken character.

    One broken byte spoils the whole run of bytes that it is in, so it goes as a token; where a token holds other
    characters, too, only the broken one goes.
    """
    shorter = (response_ids[: len(response_ids) - dropped] for dropped in range(_ONE_CHARACTER + 1))
    texts = [_text_after(prompt_ids, ids, tokenizer).rstrip(_BROKEN) for ids in shorter]
    return max(texts, key=len)


def _decode(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    # "clean-up" moves punctuation, and what is read again would have other tokens
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
