"""The few numbers that experiments are compared by, and the curves, as DVC shows them."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.report.inputs import SFT, ReportInputs
from pipeline.results.comparison import ComparedPolicy, Comparison

HEADLINE = Path("reports/headline.json")
CURVES = Path("reports/curves")
CHECKPOINTS = "checkpoints.csv"
_CHECKPOINT = ("method", "seed", "step", "kl_nats_per_sequence", "judge_score", "reward_score")


def headline(comparison: Comparison) -> dict[str, object]:
    """The mean metrics of each policy in a comparison, and those of the reward model and data behind them.

    Returns:
        `judge_score`, `win_rate_vs_sft` and `kl_nats_per_sequence` of each policy, `accuracy` of the reward model, how
        many pairs were `accepted`, and how many `flags` there are.
    """
    policies = {name: _of_policy(name, entry) for name, entry in comparison.policies.items()}
    return {
        **policies,
        "reward_model": {"accuracy": comparison.reward_model.accuracy.mean},
        "preferences": {"accepted": comparison.preferences.accepted},
        "flags": len(comparison.flags),
    }


def _of_policy(name: str, entry: ComparedPolicy) -> dict[str, float]:
    if name == SFT:
        return {"judge_score": entry.judge_score.mean}
    return {
        "judge_score": entry.judge_score.mean,
        "win_rate_vs_sft": entry.win_rate_vs_sft.mean,
        "kl_nats_per_sequence": entry.kl_nats_per_sequence,
    }


def write_curves(inputs: ReportInputs, folder: Path) -> None:
    """A table of steps for each training, that of the seed which stands for a method, and one of all checkpoints.

    Args:
        inputs: of the report.
        folder: gets `train_sft.csv`, `train_reward.csv`, one for each method, and `checkpoints.csv`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, history in inputs.histories.items():
        names = dict.fromkeys(name for row in history for name in row)
        _write(folder / f"{name}.csv", list(names), history)
    points = [
        {
            "method": name,
            "seed": run.seed,
            "step": point.step,
            "kl_nats_per_sequence": point.kl_nats_per_sequence,
            "judge_score": point.judge_score.mean,
            "reward_score": point.reward_score.mean,
        }
        for name, runs in inputs.runs.items()
        for run in runs
        for point in run.checkpoints.points
    ]
    _write(folder / CHECKPOINTS, _CHECKPOINT, points)


def _write(path: Path, names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, names, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
