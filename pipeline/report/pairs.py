"""Policies against each other, prompt by prompt: what the prompts themselves contribute cancels."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from pipeline.evaluation.statistics import policy_difference, win_shares
from pipeline.report.documents import Interval, Sample
from pipeline.report.inputs import ReportInputs


@dataclass(frozen=True)
class PairedComparison:
    """Two policies on the same prompts."""

    first: str
    second: str
    difference: Interval
    """Mean judge score of the first minus the second."""
    win_rate: float
    """Share of prompts on which the first has the higher judge score; a tie counts half."""


def paired_difference(ours: Sequence[Sample], theirs: Sequence[Sample]) -> Interval:
    """Mean judge score of `ours` minus `theirs` over the same prompts, with a 95 % paired bootstrap interval."""
    return _difference(_judge_scores(ours), _judge_scores(theirs))


def paired_reward_difference(ours: Sequence[Sample], theirs: Sequence[Sample]) -> Interval:
    """The same of the reward-model score."""
    return _difference([one.reward_score for one in ours], [one.reward_score for one in theirs])


def _difference(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    return Interval.model_validate(policy_difference(ours, theirs))


def compare_pairs(inputs: ReportInputs) -> list[PairedComparison]:
    """Every two policies, a method before what stands left of it on the page: methods minus SFT come first."""
    return [
        PairedComparison(
            second,
            first,
            paired_difference(inputs.policies[second].samples, inputs.policies[first].samples),
            win_rate(inputs.policies[second].samples, inputs.policies[first].samples),
        )
        for first, second in combinations(inputs.policies, 2)
    ]


def win_rate(ours: Sequence[Sample], theirs: Sequence[Sample]) -> float:
    """Share of prompts on which `ours` has the higher judge score; a tie counts half."""
    return float(win_shares(_judge_scores(ours), _judge_scores(theirs)).mean())


def pair_entries(pairs: Sequence[PairedComparison]) -> list[dict[str, Any]]:
    """As they stand in comparison.json."""
    return [
        {
            "first": one.first,
            "second": one.second,
            "judge_score_difference": one.difference.model_dump(),
            "win_rate": one.win_rate,
        }
        for one in pairs
    ]


def _judge_scores(samples: Sequence[Sample]) -> list[float]:
    return [sample.judge_score for sample in samples]
