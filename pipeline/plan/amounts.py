"""How much goes through each stage: texts, prompts and pairs, and their lengths in tokens."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from pipeline.check.memory import trainings_of
from pipeline.check.models import Readers
from pipeline.check.settings import Settings
from pipeline.check.sources import ReadData
from pipeline.data.table_rows import TextRow
from pipeline.memory.trainings import ON_POLICY, dpo_work, ppo_work, reward_work, sft_work
from pipeline.memory.work import Example, Work
from pipeline.plan.models import PlannedModels
from pipeline.preferences.pair import PreferencePair

_MOST_TEXTS = 1_000
"""Texts that are measured of each kind; of more, every second, third, ..."""
UNKNOWN = 1_000
"""Examples of each kind, where nothing says how many there are."""


@dataclass(frozen=True)
class Texts:
    """How many texts of one kind there are, and their mean lengths in tokens."""

    count: int
    prompt: float
    response: float = 0.0
    longest: int = 1
    """With its response."""

    @property
    def length(self) -> float:
        """Mean length of a prompt with its response."""
        return self.prompt + self.response

    @classmethod
    def of(cls, count: int, sizes: Sequence[tuple[int, int]]) -> "Texts":
        """Texts of which some were measured.

        Args:
            sizes: tokens of prompt and response of some of them.
        """
        if not sizes:
            return cls(count, 0.0)
        prompts, responses = (sum(size) / len(sizes) for size in zip(*sizes, strict=True))
        return cls(count, prompts, responses, max(map(sum, sizes)))


@dataclass(frozen=True)
class Amounts:
    """How much goes through each stage of one run."""

    rows: int
    """Number of raw rows of the sources."""
    sft: Texts
    held_out: Texts
    """Real texts for perplexity."""
    prompts: Mapping[str, Texts]
    """By split."""
    pairs: Mapping[str, Texts]
    """By split; `response` is that of both sides together, `longest` that of the longer side with its prompt."""
    trainings: Sequence[Work]
    categories: int = 1
    """Kinds of prompts."""
    note: str = ""
    """Why lengths are not those of the data; empty where they are."""


def measured(
    data: ReadData, known: Sequence[PreferencePair], readers: Readers, models: PlannedModels, settings: Settings
) -> Amounts:
    """From the data.

    Args:
        data: as prepare_data will have it.
        known: pairs that are known before a policy has written any.
    """
    policy, new, limits = readers.policy, settings.lengths.new_tokens, settings.lengths
    prompts = {
        split: Texts.of(
            data.estimate(len(rows)),
            [(length, new) for length in _tokens(policy, (row["prompt"] for row in _some(rows)))],
        )
        for split, rows in data.prepared.prompts.items()
    }
    texts = {
        split: Texts.of(data.estimate(len(rows)), _sizes(policy, _some(rows)))
        for split, rows in data.prepared.texts.items()
    }
    sft = texts.get("train", Texts(0, 0.0))
    cut = Texts(
        sft.count, sft.prompt, min(sft.response, max(0.0, limits.sft - sft.prompt)), min(sft.longest, limits.sft)
    )
    if settings.collect.source == "sampled":
        pairs = {split: Texts(one.count, one.prompt, 2.0 * new, one.longest) for split, one in prompts.items()}
    else:
        pairs = {
            split: _pairs([pair for pair in known if pair.split == split], policy, data)
            for split in ("train", "validation", "test")
        }
    works = [models.exact(work) for work in trainings_of(data, known, readers, settings) if work.examples]
    kinds = {row["category"] for row in data.prepared.prompts["train"]}
    held_out = texts.get("evaluation", Texts(0, 0.0))
    return Amounts(data.intake.rows, cut, held_out, prompts, pairs, works, categories=max(1, len(kinds)))


def _pairs(pairs: Sequence[PreferencePair], policy: PreTrainedTokenizerBase, data: ReadData) -> Texts:
    some = _some(pairs)
    prompts = _tokens(policy, (pair.prompt for pair in some))
    chosen, rejected = (_tokens(policy, (getattr(pair, side) for pair in some)) for side in ("chosen", "rejected"))
    both = [(prompt, one + other + 2) for prompt, one, other in zip(prompts, chosen, rejected, strict=True)]
    found = Texts.of(data.estimate(len(pairs)), both)
    longest = max((prompt + 1 + max(two) for prompt, *two in zip(prompts, chosen, rejected, strict=True)), default=1)
    return Texts(found.count, found.prompt, found.response, longest)


def _some(rows: Sequence[Any]) -> Sequence[Any]:
    return rows[:: -(-len(rows) // _MOST_TEXTS) or 1]


def _sizes(tokenizer: PreTrainedTokenizerBase, rows: Sequence[TextRow]) -> list[tuple[int, int]]:
    prompts = _tokens(tokenizer, (row["prompt"] for row in rows))
    responses = _tokens(tokenizer, (row["response"] for row in rows))
    return [(prompt, response + 1) for prompt, response in zip(prompts, responses, strict=True)]


def _tokens(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> list[int]:
    listed = list(texts)
    if not listed:
        return []
    return [len(ids) for ids in tokenizer(listed, add_special_tokens=False, verbose=False)["input_ids"]]


def assumed(models: PlannedModels, settings: Settings, *, note: str) -> Amounts:
    """Without the data: as many examples as limits say, each as long as it may be.

    Args:
        note: why.
    """
    new, limits = settings.lengths.new_tokens, settings.lengths
    named = settings.data.limits.model_dump()
    counts = {split: UNKNOWN if named[split] is None else named[split] for split in named}
    prompt = max(1, limits.reference - new)
    splits = ("train", "validation", "test", "evaluation")
    prompts = {split: Texts(counts[split], prompt, new, prompt + new) for split in splits}
    shared = limits.reference // 2
    pairs = {split: Texts(counts[split], shared, 2.0 * shared, limits.reference) for split in splits}
    if settings.collect.source == "sampled":
        pairs = {split: Texts(counts[split], prompt, 2.0 * new, prompt + new) for split in splits}
    half = limits.sft // 2
    sft, held_out = (Texts(counts[split], half, half, limits.sft) for split in ("sft", "evaluation"))
    return Amounts(
        sum(counts.values()), sft, held_out, prompts, pairs, _assumed_trainings(models, settings, pairs), note=note
    )


def _assumed_trainings(models: PlannedModels, settings: Settings, pairs: Mapping[str, Texts]) -> list[Work]:
    sizes, pair, new = settings.trainings, pairs["train"], settings.lengths.new_tokens
    side = round(pair.response / 2)
    text = [Example.of_text(settings.lengths.sft // 2, settings.lengths.sft // 2)] * _MOST_TEXTS
    both = [Example.of_pair(round(pair.prompt), side, side)] * _MOST_TEXTS
    works = [sft_work(models.policy_config, sizes.sft, text)]
    if not settings.models.reward_backbone.is_reward_model:
        shared = models.scorer.is_decoder
        scored = Example.of_pair(round(pair.prompt), side, side, shared=shared, writes=False)
        works.append(
            reward_work(models.scorer_config, sizes.reward, [scored.cut(settings.lengths.reward)] * _MOST_TEXTS)
        )
    if "dpo" in settings.methods:
        works.append(dpo_work(models.policy_config, sizes.dpo, both))
    works += [
        ppo_work(
            models.policy_config,
            models.scorer_config,
            sizes.ppo if method == "ppo" else sizes.hybrid,
            method=method,
            prompts=[max(1, settings.lengths.reference - new)] * _MOST_TEXTS,
            new_tokens=new,
            max_prompt_tokens=settings.lengths.prompt_tokens,
        )
        for method in ON_POLICY
        if method in settings.methods
    ]
    return [models.exact(work) for work in works]
