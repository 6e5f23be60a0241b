"""From texts to token batches: prompt and response are tokenised apart and concatenated, never split by characters."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from pipeline.reading.endings import end_token_id

_SPACES = ("\u2581", "\u0120")
"""How SentencePiece and byte-level tokens write the space before a word."""


@dataclass(frozen=True)
class TokenizedExample:
    """One prompt and response as ids: `prompt_ids + response_ids` is the sequence the model sees."""

    prompt_ids: list[int]
    response_ids: list[int]
    trained: list[bool] | None = None
    """Whether each token of the response is learned; None is all of them."""

    @property
    def trained_tokens(self) -> int:
        """Number of response tokens that are learned."""
        return len(self.response_ids) if self.trained is None else sum(self.trained)

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.response_ids)


@dataclass(frozen=True)
class ResponseBatch:
    """Prompts left-padded and responses right-padded, so that the responses of a batch share their columns.

    input_ids (B, T) and attention_mask (B, T) with T = P + R; response_ids (B, R) and response_mask (B, R).
    The masks are True on real tokens; a response includes the token that ended it.
    """

    input_ids: Tensor
    attention_mask: Tensor
    response_ids: Tensor
    response_mask: Tensor

    def to(self, device: torch.device) -> "ResponseBatch":
        return ResponseBatch(*(getattr(self, field.name).to(device) for field in fields(self)))

    def rows(self, index: Tensor) -> "ResponseBatch":
        """The rows named by `index` (N,), with their padding."""
        return ResponseBatch(*(getattr(self, field.name)[index] for field in fields(self)))


def tokenize_example(
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    response: str,
    *,
    ended: bool,
    end_of_turn: str | None = None,
    stop_ids: Collection[int] = (),
) -> TokenizedExample:
    """Tokenise a prompt and its response.

    Args:
        ended: the response is complete, so that the token that ends it belongs to it; False for one cut by a length
            limit.
        end_of_turn: the token that ends a turn in the chat template that wrote the texts; None where none did, and
            then EOS ends a response.
        stop_ids: the ids of `sampling.stop_tokens`. A response that ends with one needs no other end: the policy is
            never asked for a token behind it.
    """
    response_ids = _continued(tokenizer, prompt, response)
    if ended and not (response_ids and response_ids[-1] in stop_ids):
        response_ids = [*response_ids, end_token_id(tokenizer, end_of_turn)]
    return TokenizedExample(tokenize_prompt(tokenizer, prompt), response_ids)


def tokenize_turns(
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    turns: Sequence[Sequence[int]],
    response: str,
    *,
    ended: bool,
    end_of_turn: str | None,
) -> TokenizedExample:
    """Tokenise a chat of which every turn of the assistant is learned; the first of them begins the response.

    What the model writes and what stands between is tokenised apart, as it is when the model writes a turn.

    Args:
        prompt: the prompt, with the assistant's earlier turns.
        turns: [start, stop) of each earlier turn in characters, with the token that ends it; without any, this is
            `tokenize_example`.
        ended, end_of_turn: of the response, see `tokenize_example`.
    """
    if not turns:
        return tokenize_example(tokenizer, prompt, response, ended=ended, end_of_turn=end_of_turn)
    edges = [edge for turn in turns for edge in turn]
    ids, trained = list[int](), list[bool]()
    for number, (start, stop) in enumerate(pairwise([*edges, len(prompt)])):
        part = _continued(tokenizer, prompt[:start], prompt[start:stop])
        ids += part
        trained += [number % 2 == 0] * len(part)
    last = tokenize_example(tokenizer, prompt, response, ended=ended, end_of_turn=end_of_turn).response_ids
    first = tokenize_prompt(tokenizer, prompt[: edges[0]])
    return TokenizedExample(first, [*ids, *last], [*trained, *[True] * len(last)])


def _continued(tokenizer: PreTrainedTokenizerBase, prompt: str, response: str) -> list[int]:
    """Ids of a response behind its prompt.

    Most tokenizers give the response the same ids without its prompt. Those of SentencePiece put a space before every
    text, which nobody wrote between prompt and response. With these, the ids of the response are those that it adds
    to the ids of its prompt, or, where its first letters join the prompt's last token, to those of a line break, which
    no letter joins.
    """
    alone: list[int] = tokenizer(response, add_special_tokens=False)["input_ids"]
    if not prompt or not _begins_with_a_space(tokenizer):
        return alone
    for before in (prompt, "\n"):
        start, whole = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (before, before + response))
        if whole[: len(start)] == start:
            return list(whole[len(start) :])
    return alone


def _begins_with_a_space(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer puts a space before a text that begins without one."""
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("a", add_special_tokens=False)["input_ids"])
    return bool(tokens) and tokens[0].startswith(_SPACES)


def tokenize_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Ids of a prompt, with the one BOS that a tokenizer puts before a text (a chat template may have written it).

    An empty prompt becomes BOS or EOS, because the first response token needs a state.
    """
    prompt_ids: list[int] = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    bos = tokenizer.bos_token_id
    if bos is not None and prompt_ids[:1] != [bos] and tokenizer("")["input_ids"][:1] == [bos]:
        prompt_ids = [bos, *prompt_ids]
    return prompt_ids or [bos if bos is not None else tokenizer.eos_token_id]


def collate(examples: Sequence[TokenizedExample], *, pad_token_id: int) -> ResponseBatch:
    """Pad examples to one batch; an empty response leaves a row whose mask keeps nothing."""
    prompt_width = max(len(example.prompt_ids) for example in examples)
    response_width = max(1, max(len(example.response_ids) for example in examples))
    width = prompt_width + response_width
    input_ids = torch.full((len(examples), width), pad_token_id, dtype=torch.long)
    attention_mask = torch.zeros((len(examples), width), dtype=torch.bool)
    for row, example in enumerate(examples):
        start = prompt_width - len(example.prompt_ids)
        stop = prompt_width + len(example.response_ids)
        input_ids[row, start:stop] = torch.tensor(example.prompt_ids + example.response_ids)
        attention_mask[row, start:stop] = True
    return join(
        input_ids[:, :prompt_width],
        attention_mask[:, :prompt_width],
        input_ids[:, prompt_width:],
        attention_mask[:, prompt_width:],
    )


def join(prompt_ids: Tensor, prompt_mask: Tensor, response_ids: Tensor, response_mask: Tensor) -> ResponseBatch:
    """A batch from prompts (B, P) and responses (B, R), each with its mask."""
    return ResponseBatch(
        input_ids=torch.cat([prompt_ids, response_ids], 1),
        attention_mask=torch.cat([prompt_mask, response_mask], 1),
        response_ids=response_ids,
        response_mask=response_mask,
    )


def cut_response(example: TokenizedExample, max_length: int) -> TokenizedExample:
    """The example with its response cut so that prompt and response have at most `max_length` tokens.

    A cut response has no end token, because it does not end there. A prompt that fills the length leaves it empty.
    """
    room = max(0, max_length - len(example.prompt_ids))
    trained = None if example.trained is None else example.trained[:room]
    return TokenizedExample(example.prompt_ids, example.response_ids[:room], trained)


def batched(rows: Sequence[int] | range, size: int) -> Iterator[list[int]]:
    """Consecutive batches of indices; the last may be smaller."""
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])


@dataclass(frozen=True)
class ForwardLimit:
    """When a batch passes through a network in parts, and how large the parts are; in tokens, padding included."""

    above: int
    """The most tokens of a batch that passes whole."""
    part: int
    """The most tokens of a part of a larger batch; a longer example is a part of its own."""

    def parts(self, batch: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
        """The batch as it is, or its parts by length, see `split_batch`."""
        if len(batch) * max(lengths[index] for index in batch) <= self.above:
            return [list(batch)]
        return split_batch(batch, lengths, self.part)


AUTO_LIMIT = ForwardLimit(above=2048, part=1024)
"""A thousand tokens keep a processor's cores busy; batches that are not much larger are left as they are."""
AUTO_FROZEN_LIMIT = ForwardLimit(above=8192, part=4096)
"""The limit of a forward pass that keeps nothing for backward, and so needs much less memory for each token."""


def split_batch(batch: Sequence[int], lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Parts of a batch of at most `max_tokens` tokens with their padding, or of one example that is longer.

    Sorted by length, parts need less padding than their batch.
    """
    parts: list[list[int]] = []
    for index in sorted(batch, key=lambda index: lengths[index]):
        # in ascending order the newest is the longest
        if parts and (len(parts[-1]) + 1) * lengths[index] <= max_tokens:
            parts[-1].append(index)
        else:
            parts.append([index])
    return parts
