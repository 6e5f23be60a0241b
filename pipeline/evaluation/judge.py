"""How good a judge is: its agreement with people on texts that it was not fitted on, and with another judge."""

from collections.abc import Sequence

import numpy as np

from pipeline.data.passages import Passage
from pipeline.data.table_rows import LabelRow
from pipeline.evaluation.statistics import design_effect, wilson_interval
from pipeline.judges.protocol import Judge
from pipeline.judges.text_classifier import cut_windows
from pipeline.results.document import Interval, VerdictCounts
from pipeline.results.judges import HeldOutAccuracy, SharedErrors

_NOTHING_KNOWN = Interval(mean=0.5, low=0.0, high=1.0)
"""Accuracy of a judge where there are no labels."""
Rows = Sequence[LabelRow]


def liked_and_disliked(rows: Rows, at_most: int) -> list[tuple[Passage, Passage]]:
    """The first texts that people labelled 1, each beside one labelled 0.

    The two texts that prepare_data makes of a preference pair are adjacent in `rows`, so they meet here again.
    """
    liked, disliked = ([Passage(row["text"], True) for row in rows if row["label"] == label] for label in (1, 0))
    return list(zip(liked, disliked, strict=False))[:at_most]


def chosen_and_rejected(rows: Rows) -> list[tuple[Passage, Passage]] | None:
    """The two texts of each preference pair that labels were made of; None where labels are of single texts.

    Args:
        rows: with `id`, `text` and `label`; the two texts of a pair have one id.
    """
    by_id: dict[str, dict[int, str]] = {}
    for row in rows:
        by_id.setdefault(row["id"], {})[row["label"]] = row["text"]
    if not rows or 2 * len(by_id) != len(rows) or any(len(sides) < 2 for sides in by_id.values()):
        return None
    return [(Passage(sides[1], True), Passage(sides[0], True)) for sides in by_id.values()]


def right_about_texts(judge: Judge, rows: Rows, *, window_words: int) -> np.ndarray:
    """Whether a judge of single texts is right about each, shape (N,): 1, 0, or 0.5 where it says neither.

    Args:
        judge: rates a text above 0.5 where it likes it.
        rows: with `text`, of which it reads the first window, and `label`.
    """
    windows = [Passage(cut_windows(row["text"], words=window_words, at_most=1)[0], False) for row in rows]
    nothing = [""] * len(windows)
    likes = np.sign(judge.rate(nothing, windows, windows) - 0.5)
    return (1 + likes * np.array([1 if row["label"] else -1 for row in rows])) / 2


def right_about_pairs(judge: Judge, pairs: Sequence[tuple[Passage, Passage]]) -> np.ndarray:
    """How far the judge prefers the text that people liked, shape (N,): 1, 0.5 at a tie, 0, NaN without a verdict.

    Args:
        pairs: liked and disliked texts, whole, without a prompt.
    """
    return judge.compare([""] * len(pairs), [one for one, _ in pairs], [other for _, other in pairs])


def prompts_of_texts(rows: Rows) -> list[str]:
    """The cluster of each text: the prompt of its pair, or the text itself where it has none."""
    return [row.get("prompt") or row["id"] for row in rows]


def prompts_of_pairs(rows: Rows, count: int) -> list[str]:
    """The same of the first pairs of `liked_and_disliked`, and of all of `chosen_and_rejected`: by the liked texts."""
    return prompts_of_texts([row for row in rows if row["label"]])[:count]


def text_metrics(right: np.ndarray, labels: Sequence[int], prompts: Sequence[str]) -> HeldOutAccuracy:
    """Accuracy from `right_about_texts`: a text about which a judge says nothing counts half.

    Args:
        prompts: (N,) of the texts; those of one prompt say less than as many others (`design_effect`).
    """
    share = sum(labels) / len(labels) if labels else 0.5
    accuracy = _accuracy(right, prompts)
    return HeldOutAccuracy(held_out_accuracy=accuracy, majority_share=max(share, 1 - share), texts=len(labels))


def pair_metrics(right: np.ndarray, prompts: Sequence[str], verdicts: VerdictCounts | None = None) -> HeldOutAccuracy:
    """Accuracy from `right_about_pairs`: over the pairs with a usable verdict, a tie counting half.

    Args:
        prompts: (N,) of the pairs, as in `text_metrics`.
        verdicts: how the judge came to them, of one that keeps count.
    """
    return HeldOutAccuracy(
        held_out_accuracy=_accuracy(right, prompts), majority_share=0.5, texts=2 * len(right), verdicts=verdicts
    )


def _accuracy(right: np.ndarray, prompts: Sequence[str]) -> Interval:
    """Accuracy on the texts or pairs with a verdict."""
    known = ~np.isnan(right)
    if not known.any():
        return _NOTHING_KNOWN
    effect = design_effect(right[known], np.asarray(prompts)[known])
    return wilson_interval(float(right[known].sum()), int(known.sum()), design_effect=effect)


def shared_errors(first: np.ndarray, other: np.ndarray) -> SharedErrors:
    """How far two judges are wrong about the same texts.

    Judges that agree with each other prove nothing where they make the same mistakes: what looks like a second opinion
    is then the first one again.

    Args:
        first, other: (N,) of `right_about_texts` or `right_about_pairs`, of the same texts in the same order. A tie
            counts half. Shares are of the errors of the first one, the judge that measures.
    """
    known = ~np.isnan(first) & ~np.isnan(other)
    wrong, others = 1 - first[known], 1 - other[known]
    if not known.any():
        return SharedErrors(agreement=None, shared_error_share=None, expected_shared_error_share=None)
    both = float((wrong * others).sum())
    return SharedErrors(
        agreement=float(1 - np.abs(wrong - others).mean()),
        shared_error_share=both / float(wrong.sum()) if wrong.sum() else None,
        expected_shared_error_share=float(others.mean()),
    )


def judge_problem(metrics: HeldOutAccuracy, *, min_accuracy: float) -> str | None:
    """Why a judge must not be trusted, or None where it may be, or where no labels say anything about it."""
    accuracy, majority, texts = metrics.held_out_accuracy, metrics.majority_share, metrics.texts
    if texts == 0:
        return None
    seen = f"right on {accuracy.mean:.3f} [{accuracy.low:.3f}, {accuracy.high:.3f}] of {texts} held-out texts"
    if accuracy.mean < min_accuracy:
        reason = f"below judge.min_accuracy {min_accuracy:g}"
        more = "; the interval reaches it, so more labelled test texts (data.limits.test) would decide"
        return f"{seen}, {reason}{more if accuracy.high >= min_accuracy else ''}"
    if accuracy.low <= majority:
        return f"{seen}, not beyond chance more often than always saying the more frequent label ({majority:.3f})"
    return None
