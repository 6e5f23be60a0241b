"""The one rule for better and worse: the paired difference on the same prompts, and its 95 % interval.

Verdict, flags, colours, and the tests for reward hacking and collapse all use it, so that they cannot contradict each
other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal

from pipeline.evaluation.statistics import JUDGE_GAIN_RANGE, Range, method_difference, policy_difference, win_shares
from pipeline.report.inputs import SFT, PolicyReport, ReportInputs
from pipeline.results.comparison import ComparedPair
from pipeline.results.document import Interval
from pipeline.results.policies import Sample

Score = Literal["judge_score", "second_judge_score", "reward_score", "kl_nats"]
HYBRID = "hybrid"
_RANGES: Mapping[Score, Range] = {"judge_score": JUDGE_GAIN_RANGE, "second_judge_score": JUDGE_GAIN_RANGE}
"""Possible range of a difference, by score; a score that is not listed has no limits."""


@dataclass(frozen=True)
class PairedComparison:
    """Two policies on the same prompts, over all seeds of both."""

    first: str
    second: str
    difference: Interval
    """Mean judge score of the first minus the second."""
    win_rate: float
    """Share of prompts on which the first has the higher judge score; a tie counts half."""
    over: Sequence[str]
    """What the bootstrap resampled: `prompts`, and `seeds` where several were run."""


def paired_difference(ours: Sequence[Sample], theirs: Sequence[Sample], score: Score = "judge_score") -> Interval:
    """Mean score of one run minus another's over the same prompts, with a 95 % paired bootstrap interval.

    It compares two single runs; `difference` compares methods over all their seeds.
    """
    return paired(_scores(ours, score), _scores(theirs, score), score)


def paired(ours: Sequence[float], theirs: Sequence[float], score: Score) -> Interval:
    """The same difference, from scores in the same order of prompts."""
    return policy_difference(ours, theirs, within=_RANGES.get(score))


def difference(inputs: ReportInputs, first: str, second: str, score: Score = "judge_score") -> Interval:
    """Mean score of one policy minus another's, over the seeds of both and the prompts."""
    order = list(inputs.policies)
    if order.index(first) < order.index(second):
        # seeds of both sides are resampled separately: in a fixed order, so that a pair always gets the same interval
        turned = difference(inputs, second, first, score)
        return Interval(mean=-turned.mean, low=-turned.high, high=-turned.low)
    ours, theirs = ([_scores(run.samples, score) for run in _runs(inputs, name)] for name in (first, second))
    if first == HYBRID and second == inputs.methods[0]:
        # each hybrid starts from the policy of the same seed, so the effect of a seed is in both
        ours = [[one - other for one, other in zip(*rows, strict=True)] for rows in zip(ours, theirs, strict=True)]
        theirs = [[0.0] * len(ours[0])]
    return method_difference(ours, theirs, within=_RANGES.get(score))


def gain(inputs: ReportInputs, name: str) -> Interval:
    """What a method did to the judge score: its policies minus SFT, over seeds and prompts."""
    return difference(inputs, name, SFT)


def gains(inputs: ReportInputs) -> Mapping[str, Interval]:
    """`gain` of every method, the largest first, equal ones by name."""
    found = {name: gain(inputs, name) for name in inputs.methods}
    return dict(sorted(found.items(), key=lambda one: (-one[1].mean, one[0])))


def second_gain(inputs: ReportInputs, name: str) -> Interval | None:
    """`gain` as the second judge has it; None without one."""
    if inputs.judge.second is None or any(one.second_judge_score is None for one in inputs.sft.samples):
        return None
    return difference(inputs, name, SFT, "second_judge_score")


def reward_gain(inputs: ReportInputs, name: str) -> Interval:
    """What a method did to the reward-model score."""
    return difference(inputs, name, SFT, "reward_score")


def compare_pairs(inputs: ReportInputs) -> list[PairedComparison]:
    """Every two policies, a method before what stands left of it on the page: methods minus SFT come first."""
    return [
        PairedComparison(
            second, first, difference(inputs, second, first), method_win_rate(inputs, second, first), over(inputs)
        )
        for first, second in combinations(inputs.policies, 2)
    ]


def method_win_rate(inputs: ReportInputs, first: str, second: str) -> float:
    """`win_rate`, the mean over the seeds of both."""
    rates = [
        win_rate(ours.samples, theirs.samples) for ours, theirs in product(_runs(inputs, first), _runs(inputs, second))
    ]
    return sum(rates) / len(rates)


def win_rate(ours: Sequence[Sample], theirs: Sequence[Sample]) -> float:
    """Share of prompts on which `ours` has the higher judge score; a tie counts half."""
    return float(win_shares(_scores(ours, "judge_score"), _scores(theirs, "judge_score")).mean())


def over(inputs: ReportInputs) -> list[str]:
    """What the interval of a difference of methods is over."""
    return ["seeds", "prompts"] if len(inputs.seeds) > 1 else ["prompts"]


def over_words(inputs: ReportInputs) -> str:
    """The same as words: `over 3 seeds and 192 prompts`."""
    seeds = f"{len(inputs.seeds)} seeds and " if len(inputs.seeds) > 1 else ""
    return f"over {seeds}{len(inputs.sft.samples)} prompts"


def pair_entries(pairs: Sequence[PairedComparison]) -> list[ComparedPair]:
    """As they stand in comparison.json."""
    return [
        ComparedPair(
            first=pair.first,
            second=pair.second,
            judge_score_difference=pair.difference,
            win_rate=pair.win_rate,
            over=list(pair.over),
        )
        for pair in pairs
    ]


def _runs(inputs: ReportInputs, name: str) -> Sequence[PolicyReport]:
    return [inputs.sft] if name == SFT else inputs.runs[name]


def _scores(samples: Sequence[Sample], score: Score) -> list[float]:
    return [getattr(sample, score) for sample in samples]
