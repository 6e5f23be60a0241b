"""The judges of a run, measured on held-out human labels and beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.data.passages import Passage
from pipeline.data.table_rows import LabelRow
from pipeline.errors import PipelineError
from pipeline.evaluation.judge import (
    chosen_and_rejected,
    judge_problem,
    liked_and_disliked,
    pair_metrics,
    prompts_of_pairs,
    prompts_of_texts,
    right_about_pairs,
    right_about_texts,
    shared_errors,
    text_metrics,
)
from pipeline.judges.kinds import OF_TEXTS, Description, describe
from pipeline.judges.protocol import Judge
from pipeline.judges.text_classifier import check_labels, fit_judges
from pipeline.params.schema import FitJudge
from pipeline.results.judges import HeldOutAccuracy, JudgeMetrics, MeasuredJudge, OtherJudge


class FirstJudges(NamedTuple):
    """The judge that ranks pairs, and the one that measures policies where that is another."""

    ranking: MeasuredJudge
    measuring: OtherJudge | None

    def metrics(self, second: OtherJudge | None) -> JudgeMetrics:
        """The judges together with the second judge, where there is one."""
        return JudgeMetrics(**self.ranking.as_fields(), evaluation=self.measuring, second=second)


@dataclass(frozen=True)
class HeldOutLabels:
    """Labelled texts on which no judge was fitted."""

    rows: Sequence[LabelRow]
    """With `id`, `text` and `label`."""
    window_words: int
    """Words of a text that a judge of single texts reads."""
    most_pairs: int
    """The most pairs that are shown to a judge that compares."""

    @property
    def pairs(self) -> list[tuple[Passage, Passage]]:
        """The first liked texts, each beside a disliked one."""
        return liked_and_disliked(self.rows, self.most_pairs)

    def measure(self, judge: Judge, *, compares: bool) -> tuple[HeldOutAccuracy, np.ndarray]:
        """Accuracy, and where the judge is right: on the test texts, or where it compares two, on pairs of them.

        On the pairs that labels were made of, whatever the judge: what they share, the prompt, says nothing of either.

        Returns:
            Of `text_metrics` or `pair_metrics`, and whether it is right about each, (N,).
        """
        if compares:
            right = right_about_pairs(judge, self.pairs)
            return pair_metrics(right, prompts_of_pairs(self.rows, len(right)), judge.counts() or None), right
        if (given := chosen_and_rejected(self.rows)) is not None:
            right = right_about_pairs(judge, given)
            return pair_metrics(right, prompts_of_pairs(self.rows, len(given))), right
        right = right_about_texts(judge, self.rows, window_words=self.window_words)
        return text_metrics(right, [row["label"] for row in self.rows], prompts_of_texts(self.rows)), right


def fit_classifiers(
    rows: Sequence[LabelRow],
    labels: HeldOutLabels,
    folders: tuple[Path, Path],
    settings: FitJudge,
    *,
    min_accuracy: float,
) -> tuple[FirstJudges, Judge]:
    """Fit the two classifiers, save them, and measure them.

    Args:
        rows: with `id`, `text` and `label`, that they are fitted on.
        folders: of the judge that ranks pairs, and of the one that measures policies.

    Returns:
        How accurate they are, and the one that measures policies.
    """
    check_labels(rows, labels.rows)
    judges, fitted_on = zip(*fit_judges(rows, settings), strict=True)
    for judge, folder in zip(judges, folders, strict=True):
        judge.save(folder)
    opened = [judge.as_judge() for judge in judges]
    measured = measure_classifiers(
        labels, opened, fitted_on, independent=settings.independent, min_accuracy=min_accuracy
    )
    return measured, opened[1]


def measure_classifiers(
    labels: HeldOutLabels, judges: Sequence[Judge], fitted_on: Sequence[int], *, independent: bool, min_accuracy: float
) -> FirstJudges:
    """The classifier that ranks pairs, and the one that measures policies.

    Args:
        judges: the one that ranks, and the one that measures.
        fitted_on: how many labels each has seen.
        independent: they have seen different ones; otherwise they are one judge, and measured once.
        min_accuracy: see `judge_problem`.
    """
    (accuracy, right), *other = (labels.measure(judge, compares=False) for judge in judges[: 2 if independent else 1])
    problem = judge_problem(accuracy, min_accuracy=min_accuracy)
    ranking = _measured(accuracy, describe("classifier", labels=fitted_on[0]), problem)
    if not other:
        return FirstJudges(ranking, None)
    other_accuracy, other_right = other[0]
    problem = judge_problem(other_accuracy, min_accuracy=min_accuracy)
    measuring = _measured(other_accuracy, describe("classifier", labels=fitted_on[1]), problem)
    shared = shared_errors(other_right, right)
    return FirstJudges(ranking, OtherJudge(**measuring.as_fields(), **shared.as_fields()))


def measure_finished(labels: HeldOutLabels, judge: Judge, kind: str, *, min_accuracy: float) -> FirstJudges:
    """Accuracy of one judge that ranks pairs and measures policies, and was not fitted on this data."""
    accuracy, _ = labels.measure(judge, compares=kind not in OF_TEXTS)
    return FirstJudges(_measured(accuracy, describe(kind), judge_problem(accuracy, min_accuracy=min_accuracy)), None)


def measure_second(
    labels: HeldOutLabels, measuring: Judge, second: Judge, kinds: tuple[str, str], *, min_accuracy: float
) -> OtherJudge:
    """The judge of another family, on the same texts or pairs as the first.

    Args:
        measuring: the judge that measures policies.
        kinds: of `measuring` and of `second`.
        min_accuracy: see `judge_problem`.
    """
    # one that compares two texts can be set beside another only on pairs
    compares = not set(kinds) <= set(OF_TEXTS)
    first, first_right = labels.measure(measuring, compares=compares)
    accuracy, right = labels.measure(second, compares=compares)
    problem: str | None = "measured on nothing: the data has no labels"
    if accuracy.texts:
        problem = judge_problem(accuracy, min_accuracy=min_accuracy)
    return OtherJudge(
        **_measured(accuracy, describe(kinds[1]), problem).as_fields(),
        **shared_errors(first_right, right).as_fields(),
        first_accuracy=first.held_out_accuracy,
    )


def _measured(accuracy: HeldOutAccuracy, description: Description, problem: str | None) -> MeasuredJudge:
    kind, family, fitted_on = description
    return MeasuredJudge(**accuracy.as_fields(), kind=kind, family=family, fitted_on=fitted_on, problem=problem)


def check_trust(metrics: JudgeMetrics, *, below_min_accuracy: str) -> list[str]:
    """Warn of judges that cannot be trusted, or refuse to go on with them.

    Args:
        below_min_accuracy: flag, or stop to refuse a judge that ranks or measures.

    Returns:
        Warnings.

    Raises:
        PipelineError: one that ranks or measures has a problem, and is to be refused.
    """
    problems = _problems(metrics)
    if problems and below_min_accuracy == "stop":
        raise PipelineError(
            f"{problems[0]}. Take a better judge (judge.kind), give it more labels (data.splits.judge), lower the "
            "limit, or set judge.below_min_accuracy to flag to go on with a warning."
        )
    warnings = [f"{problem}: no verdict rests on it" for problem in problems]
    if metrics.second and metrics.second.problem:
        warnings.append(f"the second judge (judge.second) is {metrics.second.problem}: it confirms nothing")
    return warnings


def _problems(metrics: JudgeMetrics) -> list[str]:
    if metrics.evaluation is None:
        by_role = {"ranks pairs and measures policies": metrics.problem}
    else:
        by_role = {"ranks pairs": metrics.problem, "measures policies": metrics.evaluation.problem}
    return [f"the judge that {role} is {problem}" for role, problem in by_role.items() if problem is not None]
