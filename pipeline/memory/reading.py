"""A stage that trains nothing, as the estimate of its memory sees it: it samples, reads log-probs, or scores."""

from dataclasses import dataclass, replace

import torch

from pipeline.data.tokens import ForwardLimit
from pipeline.kernels.linear_logprobs import head_rows
from pipeline.kernels.long_attention import is_long
from pipeline.memory.conditions import LIBRARIES, Conditions
from pipeline.memory.parts import Parts, added, largest_of
from pipeline.memory.weights import scorer_number, weight_bytes, widest_layer
from pipeline.memory.work import Model
from pipeline.models.chunks import cache_bytes, cache_places, plan_chunks
from pipeline.models.footprint import NetworkSize
from pipeline.models.prompt_reading import tokens_at_once
from pipeline.models.reward import SCORED_TOKENS
from pipeline.objectives.logprobs import softmax_rows
from pipeline.params.base import Quantization


@dataclass(frozen=True)
class Rows:
    """Texts that go through a network at once."""

    count: int
    length: int
    """Tokens of the longest."""
    texts: int = 1
    """In each row: both responses of a pair follow one copy of their prompt."""
    text: int = 0
    """Tokens of the longest text, by which rows are bounded; 0 is a row's."""

    def bounded(self, limit: ForwardLimit | None) -> "Rows":
        """The rows that pass through a network at once where `limit` splits larger batches."""
        text = self.text or self.length
        if limit is None or self.count * self.texts * text <= limit.above:
            return self
        return replace(self, count=max(1, limit.part // text // self.texts))


@dataclass(frozen=True)
class Reading:
    """A stage that trains nothing: everything that decides its memory."""

    section: str
    """The section of params.yaml that the stage reads."""
    policy: Model
    policies: int = 0
    """Held at once, such as the reference beside the one that is measured."""
    widened: bool = False
    """Policies are in fp32: the one that is trained from it will be."""
    scorer: Model | None = None
    scorer_number: int = 4
    """Bytes of a stored weight of the reward model."""
    quantization: Quantization = "none"
    """Of the policies."""
    sampled: Rows | None = None
    new: int = 0
    """Of these, the tokens of a response."""
    read: Rows | None = None
    """By the policy, for log-probs."""
    scored: Rows | None = None
    """By the reward model."""
    whole: bool = False
    """Scored on a CPU, too, without being split."""
    batch: int = 1
    """The section's `batch_size`, which sets how many are read and scored."""

    @property
    def doing(self) -> str:
        """What the stage does, as the beginning of a sentence for people."""
        return "sampling" if self.sampled else "scoring"

    def smaller_samples(self) -> "Reading | None":
        """The stage with half of `sampling.batch_size`; None where it is 1, or nothing is sampled."""
        if self.sampled is None or self.sampled.count == 1:
            return None
        return replace(self, sampled=replace(self.sampled, count=self.sampled.count // 2))

    def smaller_batches(self) -> "Reading | None":
        """The stage with half of its section's own batch size; None where that is 1."""
        halved = {
            name: replace(rows, count=rows.count // 2)
            for name in ("read", "scored")
            if (rows := getattr(self, name)) is not None and rows.count > 1
        }
        return replace(self, **halved) if halved else None

    def shorter_responses(self, new: int) -> "Reading":
        """The stage with responses of at most `new` tokens."""
        less = max(0, self.new - new)
        shorter = {
            name: replace(rows, length=max(1, rows.length - less), text=max(0, rows.text - less))
            for name in ("sampled", "read", "scored")
            if (rows := getattr(self, name)) is not None
        }
        return replace(self, new=min(new, self.new), **shorter)


PROGRAMS = 16 << 20
"""Measured with a model of 7M: 11 to 16 MiB, for any size, because it is a number of shapes."""


def reading_parts(work: Reading, conditions: Conditions) -> Parts:
    """Bytes at the peak, by role."""
    number = 4 if work.widened else conditions.number
    weights = work.policies * weight_bytes(work.policy, number, work.quantization)
    widened = 0 if work.quantization == "none" else widest_layer(work.policy.size) * number
    moments: list[Parts] = []
    if work.sampled is not None:
        moments.append(sampling_parts(work.policy.size, work.sampled, work.new, conditions))
    if work.read is not None and work.policies:
        read = logprob_parts(work.policy.size, work.read.bounded(conditions.frozen), conditions)
        moments.append(added(read, {"copies": widened}))
    if work.scorer is not None:
        scored = scorer_number(work.scorer, stored=work.scorer_number, products=conditions.number)
        weights += weight_bytes(work.scorer, scored)
        if work.scored is not None:
            parts = scoring_parts(work.scorer.size, work.scored, conditions, number=scored, whole=work.whole)
            moments.append(parts)
    read_whole = weight_bytes(work.policy, number) if widened and conditions.device.type == "cpu" else 0
    packed = {"copies": _packing_bytes(work, conditions)}
    computing = added({"weights": weights}, packed, largest_of(moments))
    return added({"libraries": LIBRARIES}, largest_of([computing, {"weights": weights + read_whole}]))


def sampling_parts(size: NetworkSize, rows: Rows, new: int, conditions: Conditions) -> Parts:
    """The cache of all rows, that of a part of the prompts while it is read, with one layer, and a token's logits.

    Args:
        rows: prompts with their responses, all at once.
        new: tokens of a response.
    """
    number = conditions.number
    rows = _sampled_at_once(rows, new, size, conditions)
    at_once = softmax_rows(conditions.device) if conditions.device.type == "cpu" else rows.count
    softmaxed = min(rows.count, at_once)  # see `draw`
    prompts = _read_at_once(Rows(rows.count, max(1, rows.length - new)), conditions)
    places = rows.count * rows.length + prompts.count * prompts.length
    return {
        "cache": places * cache_bytes(size, number=number),
        "copies": size.vocabulary * size.width * number if _packs_head(conditions) else 0,
        "logits": (rows.count * number + softmaxed * 20) * size.vocabulary,
        "activations": int(conditions.holes * layer_bytes(size, prompts, conditions, number)),
    }


def _packing_bytes(work: Reading, conditions: Conditions) -> int:
    """Beside packed weights: the plain ones, and the program of each product that was tried, which oneDNN keeps.

    The memory that a file of weights is mapped to, and that adapters were merged in, stays as long as any weight of it
    is used plainly, as the embeddings are.
    """
    if not _packs_head(conditions):
        return 0
    plain = work.policy.weights - work.policy.size.vocabulary * work.policy.size.width
    return PROGRAMS + (0 if work.quantization != "none" else work.policies * plain * conditions.number)


def _packs_head(conditions: Conditions) -> bool:
    """Whether the vocabulary head is there a second time while tokens are drawn, see `Policy.packed_head`."""
    return conditions.device.type == "cpu" and conditions.number == 2


def _sampled_at_once(rows: Rows, new: int, size: NetworkSize, conditions: Conditions) -> Rows:
    """Of a batch, one chunk, see `plan_chunks`."""
    places = cache_places(size, number=conditions.number, memory=conditions.memory)
    lengths = [max(1, rows.length - new)] * rows.count
    largest = plan_chunks(lengths, new=new, batch_size=rows.count, places=places)[0]
    return Rows(len(largest.rows), rows.length)


def _read_at_once(prompts: Rows, conditions: Conditions) -> Rows:
    """Of these, the prompts that pass through the network together, see `pipeline.models.prompt_reading`."""
    return Rows(min(prompts.count, max(1, tokens_at_once(conditions.device) // prompts.length)), prompts.length)


def scoring_parts(
    size: NetworkSize, rows: Rows, conditions: Conditions, *, number: int = 4, whole: bool = False
) -> Parts:
    """One layer of the reward model; texts pass in parts, unless they are tried as a `whole`.

    Args:
        number: bytes of a number.
    """
    if not whole:
        # a CPU has a bound of its own, see `RewardModel`
        part = min(SCORED_TOKENS, conditions.frozen.part if conditions.frozen else SCORED_TOKENS)
        rows = rows.bounded(ForwardLimit(part, part) if conditions.device.type == "cpu" else conditions.frozen)
    return {"activations": int(conditions.holes * layer_bytes(size, rows, conditions, number))}


def logprob_parts(size: NetworkSize, rows: Rows, conditions: Conditions) -> Parts:
    """One layer of a policy whose log-probs are read without gradient, and what passes through its head at once."""
    tokens, number = rows.count * rows.length, conditions.number
    return {
        "logits": head_bytes(size, tokens, conditions.device, number=number),
        "activations": int(conditions.holes * layer_bytes(size, rows, conditions, number)),
    }


def head_bytes(size: NetworkSize, tokens: int, device: torch.device, *, number: int, summed: bool = False) -> int:
    """Logits of a few rows, their softmax in fp32, and the states of all tokens that are predicted.

    Args:
        number: bytes of a number of the matrix products.
        summed: the head is trained, and its gradient is summed over these tokens.
    """
    rows = head_rows(device.type).weights if summed else head_rows(device.type).forward
    logits = (min(tokens, rows) * number + min(tokens, softmax_rows(device)) * 12) * size.vocabulary
    return logits + tokens * size.width * number


def layer_bytes(size: NetworkSize, rows: Rows, conditions: Conditions, number: int) -> int:
    """One layer of a forward pass without gradient."""
    length = rows.length
    row = 12 * size.width + number * (3 * size.width + 3 * size.inner + size.query_width + 2 * size.key_width)
    attention = size.computed_with(conditions.attention)
    squares = attention == "eager" or (attention == "grouped" and not is_long(length, length))
    return rows.count * length * (row + (2 * size.heads * length * number if squares else length * number))
