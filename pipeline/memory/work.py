"""A training stage as the estimate of its memory sees it: models by their configs, and what goes through them at once.

Lengths are those of the data, where it is known, and batches are planned as the trainer plans them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from pipeline.data.tokens import ForwardLimit
from pipeline.models.footprint import NetworkSize
from pipeline.params.base import Finetuning, OptimizerName, SupervisedSchedule
from pipeline.training.schedule import plan_batches

_LARGEST = 1024
_OTHERS = 1024
"""Examples that are looked at of many: so many of the largest, and of the others evenly."""

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Model:
    """The sizes of a network, from its config alone."""

    size: NetworkSize
    weights: int
    is_decoder: bool = True

    @classmethod
    def of(cls, config: Any, *, writes: bool) -> "Model":
        """The sizes that a config of transformers says.

        Args:
            writes: the network has a vocabulary head, a matrix of its own where it is not tied to the embeddings.
        """
        size, text = NetworkSize.of(config), config.get_text_config()
        untied = writes and not getattr(text, "tie_word_embeddings", True)
        encoder = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
        return cls(size, size.weights + untied * size.vocabulary * size.width, is_decoder=not encoder)


@dataclass(frozen=True)
class Example:
    """One training example in tokens, as batches are planned and as the network reads it."""

    planned: int
    """Tokens by which the trainer sorts and splits batches."""
    rows: tuple[int, ...]
    """Tokens of each row that the network reads; both responses of a pair may be in one row."""
    predicted: int = 0
    """Tokens whose log-probs are needed; 0 where a row ends in a score."""

    @property
    def branched(self) -> bool:
        """Both responses of a pair follow one copy of their prompt."""
        return self.planned > sum(self.rows)

    @property
    def side(self) -> int:
        """Tokens of one text; where a row holds both texts of a pair, half of the row."""
        return -(-max(self.rows) // (2 if self.branched else 1))

    def cut(self, side: int) -> "Example":
        """The example with texts of at most `side` tokens."""
        texts = 2 if self.branched else len(self.rows)
        rows = tuple(min(row, side * texts // len(self.rows)) for row in self.rows)
        return Example(min(self.planned, side * texts), rows, min(self.predicted, sum(rows)))

    @classmethod
    def of_text(cls, prompt: int, response: int) -> "Example":
        """A prompt and its response, of so many tokens each."""
        return cls(prompt + response, (prompt + response,), response)

    @classmethod
    def of_pair(cls, prompt: int, chosen: int, rejected: int, *, shared: bool = True, writes: bool = True) -> "Example":
        """A pair: both responses in a row behind one copy of their prompt, or each in a row of its own."""
        both = (prompt + chosen + rejected,) if shared and prompt else (prompt + chosen, prompt + rejected)
        return cls(2 * prompt + chosen + rejected, both, chosen + rejected if writes else 0)


@dataclass(frozen=True)
class Rollout:
    """What PPO samples at once, and who scores it."""

    episodes: int
    new: int
    """Tokens of a sampled response; each example has so many behind its prompt."""
    scorer: Model
    text: int
    """Tokens of the longest text that the reward model reads; its prompt may be longer than what the policy reads."""


@dataclass(frozen=True)
class Work:
    """A training stage: everything that decides its memory."""

    section: str
    """The section of params.yaml that the stage reads."""
    length_key: str
    """The key of params.yaml that bounds the length of rows."""
    model: Model
    finetuning: Finetuning
    batch: int
    """Examples of one forward pass, where it is not split."""
    examples: tuple[Example, ...]
    accumulated: int = 1
    """Batches of one optimiser step."""
    optimizer: OptimizerName = "adamw"
    frozen: int = 0
    """Copies of the model that are only read."""
    critics: int = 0
    """Networks of their own that are trained like the model."""
    rollout: Rollout | None = None
    offload_idle: bool = False
    """Frozen networks wait in the memory of the host while PPO does not read them, where that is another."""

    @property
    def doing(self) -> str:
        """What the stage does, as the beginning of a sentence for people."""
        return "training"

    @property
    def writes(self) -> bool:
        """Whether the network gives log-probs of tokens, and not a score of the row."""
        return any(example.predicted for example in self.examples)

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return max((length for example in self.examples for length in example.rows), default=1)

    @property
    def limited(self) -> int:
        """The tokens that `length_key` could lower: of the longest text, or of a sampled response."""
        return self.rollout.new if self.rollout else max((example.side for example in self.examples), default=1)

    def shorter(self, tokens: int) -> "Work":
        """The stage with at most `tokens` of what `limited` counts."""
        if self.rollout is None:
            return replace(self, examples=tuple(example.cut(tokens) for example in self.examples))
        less = self.rollout.new - tokens
        examples = (Example(one.planned - less, (one.planned - less,), tokens) for one in self.examples)
        rollout = replace(self.rollout, new=tokens, text=self.rollout.text - less)
        return replace(self, rollout=rollout, examples=tuple(examples))


@dataclass(frozen=True)
class Pass:
    """One forward and backward pass."""

    rows: int
    length: int
    """Tokens of the longest row."""
    predicted: int
    branched: bool = False
    """Rows hold both responses of a pair, so each has a mask of its own."""

    @property
    def tokens(self) -> int:
        """Tokens of the pass, padding included."""
        return self.rows * self.length


def largest(items: Sequence[_Item], size: Callable[[_Item], int]) -> list[_Item]:
    """All items; of many the largest and some of the others, so that the largest batches are those of all items."""
    if len(items) <= _LARGEST + _OTHERS:
        return list(items)
    ordered = sorted(items, key=size, reverse=True)
    others = ordered[_LARGEST:]
    return [*ordered[:_LARGEST], *others[:: -(-len(others) // _OTHERS)], ordered[-1]]


def planned_steps(work: Work, limit: ForwardLimit | None) -> Iterator[list[Pass]]:
    """The passes of each optimiser step of one epoch; for PPO the largest pass that a minibatch can need, twice."""
    if work.rollout is not None and work.examples:
        yield [_largest_of_rollout(work, work.rollout, limit)] * 2
    if work.rollout is not None:
        return
    schedule = SupervisedSchedule(
        learning_rate=1.0,
        warmup_ratio=0.0,
        num_train_epochs=1,
        per_device_train_batch_size=work.batch,
        gradient_accumulation_steps=work.accumulated,
        weight_decay=0.0,
        max_grad_norm=1.0,
    )
    lengths = [example.planned for example in work.examples]
    for step in plan_batches(lengths, schedule, seed=0, name=work.section, limit=limit):
        yield [_pass_of([work.examples[index] for index in indices]) for indices in step]


def _pass_of(examples: Sequence[Example]) -> Pass:
    rows = [length for example in examples for length in example.rows]
    predicted = sum(example.predicted for example in examples)
    return Pass(len(rows), max(rows), predicted, any(example.branched for example in examples))


def _largest_of_rollout(work: Work, rollout: Rollout, limit: ForwardLimit | None) -> Pass:
    """The largest pass of a minibatch: before sampling, a response may have any length up to `new` tokens."""
    longest, rows = work.longest, min(work.batch, rollout.episodes)
    if limit is None or rows * longest <= limit.above:
        return Pass(rows, longest, rows * rollout.new)
    shortest = sorted(example.planned for example in work.examples)[: work.batch][-1] - rollout.new + 1
    if rows * shortest <= limit.above:
        # responses that end early let a batch pass whole
        return Pass(rows, limit.above // rows, min(rows * rollout.new, limit.above))
    parts = [(count, min(longest, max(limit.part // count, 1))) for count in range(1, rows + 1)]
    count, length = max(parts, key=lambda part: part[0] * part[1]) if longest <= limit.part else (1, longest)
    return Pass(count, length, count * min(rollout.new, length))
