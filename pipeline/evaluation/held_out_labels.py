"""The judges of a run, measured on held-out human labels and beside each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data.passages import Passage
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
from pipeline.judges.kinds import OF_TEXTS, describe
from pipeline.judges.protocol import Judge


@dataclass(frozen=True)
class HeldOutLabels:
    """Texts that people labelled and no judge was fitted on."""

    rows: Sequence[dict[str, Any]]
    """With `id`, `text` and `label`."""
    window_words: int
    """A judge of single texts reads so many words of each."""
    most_pairs: int
    """A judge that compares reads at most so many pairs."""

    @property
    def pairs(self) -> list[tuple[Passage, Passage]]:
        """The first liked texts, each beside a disliked one."""
        return liked_and_disliked(self.rows, self.most_pairs)

    def measure(self, judge: Judge, *, compares: bool) -> tuple[dict[str, Any], np.ndarray]:
        """Accuracy, and where the judge is right: on the test texts, or where it compares two, on pairs of them.

        On the pairs that labels were made of, whatever the judge: what they share, the prompt, says nothing of either.

        Returns:
            Metrics of `text_metrics` or `pair_metrics`, and whether it is right about each, (N,).
        """
        if compares:
            right = right_about_pairs(judge, self.pairs)
            counts = judge.counts()
            metrics = pair_metrics(right, prompts_of_pairs(self.rows, len(right)))
            return {**metrics, **({"verdicts": counts} if counts else {})}, right
        if (given := chosen_and_rejected(self.rows)) is not None:
            right = right_about_pairs(judge, given)
            return pair_metrics(right, prompts_of_pairs(self.rows, len(given))), right
        right = right_about_texts(judge, self.rows, window_words=self.window_words)
        return text_metrics(right, [row["label"] for row in self.rows], prompts_of_texts(self.rows)), right


def measure_classifiers(
    labels: HeldOutLabels, judges: Sequence[Judge], fitted_on: Sequence[int], *, independent: bool
) -> dict[str, Any]:
    """Metrics of the classifier that ranks pairs, with those of the one that measures policies in `evaluation`.

    Args:
        judges: the one that ranks, and the one that measures.
        fitted_on: how many labels each has seen.
        independent: they have seen different ones; otherwise they are one judge, and measured once.
    """
    ranking, measuring = judges
    metrics, right = labels.measure(ranking, compares=False)
    metrics |= describe("classifier", labels=fitted_on[0])
    if not independent:
        return metrics
    other, right_too = labels.measure(measuring, compares=False)
    other |= describe("classifier", labels=fitted_on[1]) | shared_errors(right_too, right)
    return {**metrics, "evaluation": other}


def measure_finished(labels: HeldOutLabels, judge: Judge, kind: str) -> dict[str, Any]:
    """Metrics of a judge that ranks pairs and measures policies, and was fitted on nothing here."""
    metrics, _ = labels.measure(judge, compares=kind not in OF_TEXTS)
    return metrics | describe(kind)


def measure_second(
    labels: HeldOutLabels, measuring: Judge, second: Judge, kinds: tuple[str, str], *, min_accuracy: float
) -> dict[str, Any]:
    """Metrics of the judge of another family, on the same texts or pairs as the first.

    Args:
        measuring: the judge that measures policies.
        kinds: of `measuring` and of `second`.
    """
    # one that compares two texts can be set beside another only on pairs
    compares = not set(kinds) <= set(OF_TEXTS)
    (first, right), (found, right_too) = (labels.measure(judge, compares=compares) for judge in (measuring, second))
    shared = {"first_accuracy": first["held_out_accuracy"], **shared_errors(right, right_too)}
    problem: str | None = "measured on nothing: the data has no labels"
    if found["texts"]:
        problem = judge_problem(found, min_accuracy=min_accuracy)
    return {**found, **describe(kinds[1]), **shared, "problem": problem}


def with_problems(metrics: Mapping[str, Any], *, min_accuracy: float) -> dict[str, Any]:
    """The metrics of all judges with the `problem` of those that rank and measure, None where there is none."""
    told = {**metrics, "problem": judge_problem(metrics, min_accuracy=min_accuracy)}
    if "evaluation" in metrics:
        measuring = metrics["evaluation"]
        told["evaluation"] = {**measuring, "problem": judge_problem(measuring, min_accuracy=min_accuracy)}
    return told


def is_trusted(metrics: Mapping[str, Any]) -> bool:
    """Whether the judge that measures policies has no problem, by the metrics of `with_problems`."""
    return metrics.get("evaluation", metrics)["problem"] is None


def check_trust(metrics: Mapping[str, Any], *, below_min_accuracy: str) -> list[str]:
    """Let judges that are not worth trust pass with a warning, or refuse to go on.

    Args:
        metrics: of `with_problems`, with those of the second judge in `second`, None where there is none.
        below_min_accuracy: flag, or stop to refuse a judge that ranks or measures.

    Returns:
        Warnings.

    Raises:
        PipelineError: one that ranks or measures has a problem, and is to be refused.
    """
    told = _problems(metrics)
    if told and below_min_accuracy == "stop":
        raise PipelineError(
            f"{told[0]}. Take a better judge (judge.kind), give it more labels (data.splits.judge), lower the limit, "
            "or set judge.below_min_accuracy to flag to go on with a warning."
        )
    warnings = [f"{problem}: no verdict rests on it" for problem in told]
    second = metrics["second"]
    if second and second["problem"]:
        warnings.append(f"the second judge (judge.second) is {second['problem']}: it confirms nothing")
    return warnings


def _problems(metrics: Mapping[str, Any]) -> list[str]:
    if "evaluation" not in metrics:
        found = {"ranks pairs and measures policies": metrics["problem"]}
    else:
        found = {"ranks pairs": metrics["problem"], "measures policies": metrics["evaluation"]["problem"]}
    return [f"the judge that {role} is {problem}" for role, problem in found.items() if problem is not None]
