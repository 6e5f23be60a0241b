"""What a judge score costs in KL: along each method's checkpoints, against best-of-n of the SFT policy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.errors import PipelineError
from pipeline.evaluation.statistics import expansion, resample_weights
from pipeline.report.curves import BEST_OF_N, run_curve
from pipeline.report.inputs import ReportInputs, TrainedPolicy
from pipeline.report.pairs import gain
from pipeline.results.comparison import OwnSpending, Ratio

SHARES = {"largest_common": 1.0, "half_of_it": 0.5}
"""The gains at which KL is compared, as shares of the largest gain that all lines reach."""
_RESAMPLES = 2000
SpendingEntries = dict[str, float | Ratio | OwnSpending | None]
Point = tuple[float, float]
"""KL in nats per sequence, and judge score."""


def kl_for_score(line: Sequence[Point], score: float) -> float | None:
    """KL at which a line first reaches a judge score; None where it never does.

    Between its points the score is taken to be linear in the root of KL, as it is near the start for training and for
    best-of-n (Gao et al. 2022, arXiv:2210.10760). Linear in KL, a line of few points would seem to spend far too much.

    Args:
        line: points in the order of training, or of n, the first at the SFT policy.
    """
    for (kl, low), (next_kl, high) in pairwise(line):
        if low >= score:
            return kl
        if high >= score:
            return (_root(kl) + (score - low) / (high - low) * (_root(next_kl) - _root(kl))) ** 2
    return line[-1][0] if line and line[-1][1] >= score else None


def _root(kl: float) -> float:
    """Root of a KL; 0 for a negative one, which an estimate near 0 may be."""
    return max(kl, 0.0) ** 0.5


def score_at_kl(line: Sequence[Point], kl: float) -> float | None:
    """Judge score where a line first reaches a KL, by the same rule; None where it never does."""
    for (at, score), (next_at, next_score) in pairwise(line):
        if at >= kl:
            return score
        if next_at >= kl:
            return score + (_root(kl) - _root(at)) / (_root(next_at) - _root(at)) * (next_score - score)
    return line[-1][1] if line and line[-1][0] >= kl else None


def lines(inputs: ReportInputs) -> dict[str, list[Point]]:
    """`best_of_n`, and each method through its checkpoints to the end of training, all on the validation prompts.

    Each starts at the SFT policy: with best-of-1, and with step 0. Of several seeds it is the mean of their KL and
    scores at each step; a seed that stopped early counts with its last values at later steps.
    """
    of_methods = {name: _line_of(runs).mean() for name, runs in inputs.runs.items()}
    return {
        BEST_OF_N: [(point.kl_nats_per_sequence, point.judge_score.mean) for point in inputs.sft.frontier],
        **of_methods,
    }


@dataclass(frozen=True)
class Spending:
    """The KL, in nats per sequence, that best-of-n and methods spend for one judge score."""

    gain: float
    """Gain in judge score over SFT on the same prompts."""
    judge_score: float
    best_of_n: float
    gained: frozenset[str]
    """The methods that gained beyond chance, by name."""
    methods: Mapping[str, tuple[float, Ratio]]
    """KL and its ratio to best-of-n's, of methods that gained and have a checkpoint that gains no more than this."""


def kl_spent(inputs: ReportInputs) -> dict[str, Spending]:
    """What a gain in judge score costs, at the targets of `SHARES`; empty where no common gain is beyond chance.

    The target follows from the data: the largest gain over SFT that best-of-n and every method reach that beats SFT
    beyond chance on the evaluation prompts, and half of it. Best-of-n is close to optimal at a given KL (Gao et al.
    2022, arXiv:2210.10760; Beirami et al. 2024, arXiv:2401.01879) for the reward model that ranks; the judge is
    another, and its KL here is an upper bound, so a ratio may be below 1, and all are rather too low.

    The interval is a percentile bootstrap over the validation prompts, which all lines share, and over the seeds of
    each method, whose deviations are expanded for their small number (`expansion`): each resample draws the lines of
    best-of-n and of the methods anew, both in score and in KL, and finds its own target. Where a line of a resample
    gains nothing there is no ratio: it counts as lowest at the lower end and as highest at the upper. A method whose
    first checkpoint gains more than the target has no ratio: the KL that it spent to get there was not measured. Two
    seeds say next to nothing about their spread, and neither does the interval. Where a line flattens at its end, the
    noise of its points decides where it first reaches its largest gain: the interval is then too narrow, and mostly
    too low.
    """
    drawn = _lines_by_prompt(inputs)
    spent = {target: _spending(inputs, drawn, share) for target, share in SHARES.items()}
    return {target: one for target, one in spent.items() if one is not None}


def kl_at_own_gain(inputs: ReportInputs) -> dict[str, Spending]:
    """By method: what the largest gain that it and best-of-n reach costs both, by the rules of `kl_spent`.

    A method that gains more than the others is measured there, and not on its way past the gain of a weaker one.
    """
    drawn = _lines_by_prompt(inputs)
    pairs = {name: {BEST_OF_N: drawn[BEST_OF_N], name: line} for name, line in drawn.items() if name != BEST_OF_N}
    spent = {name: _spending(inputs, pair, 1.0) for name, pair in pairs.items()}
    return {name: one for name, one in spent.items() if one is not None}


def _spending(inputs: ReportInputs, drawn: Mapping[str, "_LineByPrompt"], share: float) -> Spending | None:
    """For a share of the largest gain that these lines have in common."""
    if len(drawn) < 2:
        return None
    whole = {name: line.gains() for name, line in drawn.items()}
    ratios = _ratios(whole, share)
    if ratios is None:
        return None
    resampled = [_ratios(lines, share) for lines in _resampled(drawn)]
    gain = share * largest_common_gain(whole)
    methods = {
        name: (_spent(whole[name], gain), _interval(ratio, [None if one is None else one[name] for one in resampled]))
        for name, ratio in ratios.items()
        if _has_checkpoint_before(whole[name], gain)
    }
    score = inputs.sft.frontier[0].judge_score.mean + gain
    return Spending(gain, score, _spent(whole[BEST_OF_N], gain), frozenset(ratios), methods)


@dataclass(frozen=True)
class _LineByPrompt:
    """KL and judge score of each seed's points on each prompt, (seeds, points, prompts); a known KL has one column."""

    kl: np.ndarray
    scores: np.ndarray

    def mean(self) -> list[Point]:
        """KL and judge score of each point, over seeds and prompts."""
        return list(zip(self.kl.mean((0, 2)).tolist(), self.scores.mean((0, 2)).tolist(), strict=True))

    def gains(self, seeds: np.ndarray | None = None, prompts: np.ndarray | None = None) -> list[Point]:
        """KL, at least 0, and gain over the first point, which is SFT: means by these weights of seeds and prompts."""
        count, _, width = self.scores.shape
        of_seeds = np.full(count, 1 / count) if seeds is None else seeds
        of_prompts = np.full(width, 1 / width) if prompts is None else prompts
        scores = of_seeds @ (self.scores @ of_prompts)
        kl = of_seeds @ (self.kl[:, :, 0] if self.kl.shape[2] == 1 else self.kl @ of_prompts)
        return [(max(float(at), 0.0), float(score - scores[0])) for at, score in zip(kl, scores, strict=True)]


def _resampled(drawn: Mapping[str, _LineByPrompt]) -> Iterator[dict[str, list[Point]]]:
    """The lines of each draw of prompts, the same for all, and of seeds, each method's for itself."""
    prompts = resample_weights(drawn[BEST_OF_N].scores.shape[2], resamples=_RESAMPLES, seed=0, name="kl_spent")
    seeds = {name: _seed_weights(name, len(line.scores)) for name, line in drawn.items()}
    for at, weights in enumerate(prompts):
        yield {name: line.gains(seeds[name][at], weights) for name, line in drawn.items()}


def _seed_weights(name: str, count: int) -> np.ndarray:
    """Weights of the seeds in every draw, (resamples, seeds), expanded about their mean; of one seed all 1."""
    if count == 1:
        return np.ones((_RESAMPLES, 1))
    weights = resample_weights(count, resamples=_RESAMPLES, seed=0, name=f"kl_spent/seeds/{name}")
    return 1 / count + expansion(count) * (weights - 1 / count)


def _lines_by_prompt(inputs: ReportInputs) -> dict[str, _LineByPrompt]:
    """Best-of-n, and every method that beats SFT beyond chance, on evaluation prompts and along a run's checkpoints."""
    frontier = inputs.sft.frontier
    if not frontier:
        return {}
    found = {
        BEST_OF_N: _LineByPrompt(
            np.array([[[point.kl_nats_per_sequence] for point in frontier]]),
            np.array([[point.judge_scores for point in frontier]]),
        )
    }
    for name, runs in inputs.runs.items():
        rose = any(point.gain.rose for run in runs for point in run_curve(run, "gold").points)
        if gain(inputs, name).rose and rose:
            found[name] = _line_of(runs)
            _check_prompts(found, runs[0])
    return found


def _line_of(runs: Sequence[TrainedPolicy]) -> _LineByPrompt:
    """A method's seeds at every step that one of them has, SFT first; a seed without that step counts with its last."""
    steps = sorted({point.step for run in runs for point in run.checkpoints.points})
    reached = [
        [[point for point in run.checkpoints.points if point.step <= step][-1] for step in steps] for run in runs
    ]
    return _LineByPrompt(
        np.array([[point.kl_nats for point in points] for points in reached]),
        np.array([[point.judge_scores for point in points] for points in reached]),
    )


def _check_prompts(found: Mapping[str, _LineByPrompt], run: TrainedPolicy) -> None:
    ours, best = found[run.name].scores.shape[2], found[BEST_OF_N].scores.shape[2]
    if ours != best:
        raise PipelineError(
            f"reports/policies/sft/frontier.json: scores of {best} prompts, but those of {run.name}'s checkpoints are "
            f"of {ours}. Run evaluate_sft and {run.stage('select_checkpoint')} again."
        )


def largest_common_gain(lines: Mapping[str, Sequence[Point]]) -> float:
    """The largest gain that all lines reach, each from a gain of 0."""
    return min(max(gain for _, gain in line) for line in lines.values())


def _has_checkpoint_before(line: Sequence[Point], gain: float) -> bool:
    """Whether a line has a point between SFT and a gain: before its first checkpoint nothing is known."""
    return len(line) > 1 and line[1][1] <= gain + 1e-9  # the target may be that checkpoint


def _spent(line: Sequence[Point], gain: float) -> float:
    """KL of a line that reaches the gain; where rounding puts the gain above its largest, the KL of that."""
    kl = kl_for_score(line, min(gain, max(score for _, score in line)))
    assert kl is not None
    return kl


def _ratios(lines: Mapping[str, Sequence[Point]], share: float) -> dict[str, float] | None:
    """By method: its KL over best-of-n's at a share of the largest common gain; None where there is none."""
    gain = share * largest_common_gain(lines)
    best = _spent(lines[BEST_OF_N], gain)
    if gain <= 0 or best <= 0:
        return None
    return {name: _spent(line, gain) / best for name, line in lines.items() if name != BEST_OF_N}


def _interval(value: float, resampled: Sequence[float | None]) -> Ratio:
    low = np.quantile([0.0 if one is None else one for one in resampled], 0.025, method="lower")
    high = np.quantile([np.inf if one is None else one for one in resampled], 0.975, method="higher")
    return Ratio(value=value, low=float(low), high=float(high) if np.isfinite(high) else None)


def spending_entries(
    spent: Mapping[str, Spending], own: Mapping[str, Spending], methods: Sequence[str]
) -> dict[str, SpendingEntries]:
    """As they stand in comparison.json; a method that gained nothing beyond chance is null.

    Args:
        spent: of `kl_spent`.
        own: of `kl_at_own_gain`; without any it is left out.
    """
    shared: dict[str, SpendingEntries] = {
        target: {
            "gain": one.gain,
            "judge_score": one.judge_score,
            BEST_OF_N: one.best_of_n,
            **{name: one.methods[name][0] if name in one.methods else None for name in methods},
            **{f"{name}_ratio": one.methods[name][1] if name in one.methods else None for name in methods},
        }
        for target, one in spent.items()
    }
    if not own:
        return shared
    of_each: SpendingEntries = {name: _own_entry(own[name], name) if name in own else None for name in methods}
    return {**shared, "largest_of_each": of_each}


def _own_entry(spent: Spending, name: str) -> OwnSpending | None:
    if name not in spent.methods:
        return None
    kl, ratio = spent.methods[name]
    return OwnSpending(gain=spent.gain, judge_score=spent.judge_score, best_of_n=spent.best_of_n, kl=kl, ratio=ratio)
