"""What a judge score costs in KL: along each method's checkpoints, against best-of-n of the SFT policy."""

from collections.abc import Sequence
from itertools import pairwise

from pipeline.report.inputs import ReportInputs

JUDGE_SCORES = (0.65, 0.70)
Point = tuple[float, float]
"""KL in nats per sequence, and judge score."""


def kl_for_score(line: Sequence[Point], score: float) -> float | None:
    """KL at which a line first reaches a judge score, straight between its points; None where it never does.

    Args:
        line: points in the order of training, or of n, the first at the SFT policy.
    """
    for (kl, low), (next_kl, high) in pairwise(line):
        if low >= score:
            return kl
        if high >= score:
            return kl + (score - low) / (high - low) * (next_kl - kl)
    return line[-1][0] if line and line[-1][1] >= score else None


def score_at_kl(line: Sequence[Point], kl: float) -> float | None:
    """Judge score where a line first reaches a KL, straight between its points; None where it never does."""
    swapped = [(score, at) for at, score in line]
    return kl_for_score(swapped, kl)


def lines(inputs: ReportInputs) -> dict[str, list[Point]]:
    """`best_of_n`, and each method through its checkpoints to the end of training, all on the validation prompts.

    Each starts at the SFT policy: with best-of-1, and with step 0.
    """
    found = {"best_of_n": [(point.kl_nats_per_sequence, point.judge_score.mean) for point in inputs.sft.frontier]}
    for name, run in inputs.trained.items():
        found[name] = [(point.kl_nats_per_sequence, point.judge_score.mean) for point in run.checkpoints.points]
    return found


def kl_spent(inputs: ReportInputs) -> dict[str, dict[str, float | None]]:
    """For each of `JUDGE_SCORES`: the KL of best-of-n and of each method, and the method's as a ratio to best-of-n.

    Best-of-n is close to optimal at a given KL (Gao et al. 2022, arXiv:2210.10760; Beirami et al. 2024,
    arXiv:2401.01879), so ratios are above 1; None where a line never reaches the score.
    """
    found = lines(inputs)
    table: dict[str, dict[str, float | None]] = {}
    for score in JUDGE_SCORES:
        spent = {name: kl_for_score(line, score) for name, line in found.items()}
        row = {name: None if kl is None else round(kl, 4) for name, kl in spent.items()}
        best = spent["best_of_n"]
        for name in inputs.methods:
            kl = spent[name]
            row[f"{name}_ratio"] = round(kl / best, 4) if kl is not None and best else None
        table[f"{score:.2f}"] = row
    return table
