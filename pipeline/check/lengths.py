"""Lengths in tokens against the limits of the stages: what would be cut, and what would be dropped."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from pipeline.check.findings import Findings, Table
from pipeline.check.models import Readers, count_tokens
from pipeline.check.settings import Settings
from pipeline.check.sft import is_trained
from pipeline.check.sources import ReadData
from pipeline.memory.trainings import kept_prompts
from pipeline.preferences.pair import SIDES, PreferencePair
from pipeline.validation.thresholds import KEPT, limit_that_keeps

_MOST_TEXTS = 2_000
"""The most texts of each kind that are measured; of more, every second, third, ..."""
_MANY = 0.5
"""Share of texts above a limit from which on this is an error and no warning."""


@dataclass(frozen=True)
class Measured:
    """Lengths of one kind of text, and the limit that a stage sets them."""

    what: str
    lengths: Sequence[int]
    key: str
    """What sets the limit: a parameter, or the model that has no more positions."""
    limit: int
    fate: str
    """What happens to texts above the limit."""
    most: int | None
    """The most tokens that the model can read at all; None is no limit."""

    @property
    def beyond(self) -> float:
        """Share of the texts above the limit."""
        return sum(length > self.limit for length in self.lengths) / len(self.lengths)


def check_lengths(
    data: ReadData, pairs: Sequence[PreferencePair], readers: Readers, settings: Settings, findings: Findings
) -> None:
    """Measure the lengths, add their table, and advise limits that keep 95 % of the texts whole."""
    measured = [one for one in _measure(data, pairs, readers, settings) if one.lengths]
    findings.tables.append(Table("Lengths in tokens", _HEADER, [_row(one) for one in measured]))
    for one in measured:
        _advise(one, findings)
    _check_positions(readers, settings, findings)


_HEADER = ("texts", "median", "95 %", "longest", "limit", "beyond", "set by")


def _row(one: Measured) -> list[str]:
    ordered = sorted(one.lengths)
    middle, high = statistics.median(ordered), ordered[int(KEPT * (len(ordered) - 1))]
    beyond = f"{one.beyond:.0%} {one.fate}" if one.beyond else "-"
    bound = f"{one.key} (positions)" if one.key.endswith(".source") else one.key
    return [one.what, f"{middle:,.0f}", f"{high:,}", f"{ordered[-1]:,}", f"{one.limit:,}", beyond, bound]


def _advise(one: Measured, findings: Findings) -> None:
    if one.beyond <= 1 - KEPT:
        return
    advised = limit_that_keeps(one.lengths)
    if one.most is not None and advised > one.most:
        advised = one.most
    if advised <= one.limit:
        findings.warning(
            f"{one.beyond:.0%} of the {one.what} have more than {one.limit:,} tokens and will be {one.fate}: the model "
            "reads no more. Take one that reads more, or shorter texts.",
            "models.reward_backbone.source" if one.key.startswith("train_reward") else "models.policy.source",
        )
        return
    add = findings.error if one.beyond > _MANY else findings.warning
    add(
        f"{one.beyond:.0%} of the {one.what} have more than {one.limit:,} tokens and would be {one.fate}; "
        f"{advised:,} keeps {sum(length <= advised for length in one.lengths) / len(one.lengths):.0%} whole.",
        one.key,
        advised,
    )


def _measure(
    data: ReadData, pairs: Sequence[PreferencePair], readers: Readers, settings: Settings
) -> Iterator[Measured]:
    lengths, policy, most = settings.lengths, readers.policy, readers.positions
    if is_trained(data, settings):
        texts = _some(data.prepared.texts["train"])
        sft = [length + 1 for length in count_tokens(policy, [row["prompt"] + row["response"] for row in texts])]
        yield Measured("SFT texts", sft, "train_sft.max_length", lengths.sft, "cut", most)
    if settings.collect.source == "sampled":
        rows = _some([row for split in ("train", "validation", "test") for row in data.prepared.prompts[split]])
        prompts, new, what = [row["prompt"] for row in rows], lengths.new_tokens, "prompts with a sampled response"
        pair_lengths = [length + new for length in count_tokens(policy, prompts)]
        reward = [length + new for length in count_tokens(readers.reward, prompts)]
        if settings.contract.max_tokens is not None:
            limit = settings.contract.max_tokens
            yield Measured(what, pair_lengths, "validate_preferences.max_tokens", limit, "dropped", most)
    else:
        known, what = _some(pairs), "longer responses of pairs, with prompts"
        sides = [[pair.prompt + pair.response(side).text for pair in known] for side in SIDES]
        pair_lengths = _longer(policy, sides, ended=1)
        reward = _longer(readers.reward, sides)
    if "dpo" in settings.methods:
        yield Measured(what, pair_lengths, "score_reference.max_length", lengths.reference, "dropped from DPO", most)
    if not settings.models.reward_backbone.is_reward_model:
        fate = "cut at their beginning"
        yield Measured(
            f"{what}, for the reward model", reward, "train_reward.max_length", lengths.reward, fate,
            readers.reward_positions,
        )  # fmt: skip
    prompts = [row["prompt"] for row in _some(data.prepared.prompts["evaluation"])]
    if most is not None:
        kept = kept_prompts(count_tokens(policy, prompts), lengths.prompt_tokens)
        sampled = [length + lengths.new_tokens for length in kept]
        what = f"evaluation prompts and {lengths.new_tokens:,} new tokens"
        yield Measured(what, sampled, "models.policy.source", most, "unreadable", most)


def _some(rows: Sequence[Any]) -> Sequence[Any]:
    return rows[:: -(-len(rows) // _MOST_TEXTS) or 1]


def _longer(tokenizer: PreTrainedTokenizerBase, sides: Sequence[Sequence[str]], *, ended: int = 0) -> list[int]:
    counted = [count_tokens(tokenizer, texts) for texts in sides]
    return [ended + max(pair) for pair in zip(*counted, strict=True)]


def _check_positions(readers: Readers, settings: Settings, findings: Findings) -> None:
    """A model reads no more tokens than it has positions for."""
    lengths = settings.lengths
    limits = [
        ("train_sft.max_length", lengths.sft, readers.positions, "policy"),
        ("score_reference.max_length", lengths.reference, readers.positions, "policy"),
        ("train_reward.max_length", lengths.reward, readers.reward_positions, "reward model"),
    ]
    for key, value, most, who in limits:
        if most is not None and value > most:
            findings.error(f"{key} is {value:,}, and the {who} reads at most {most:,} tokens.", key, most)
