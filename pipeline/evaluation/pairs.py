"""The pairs that reward models are measured on, and their accuracy in groups."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import spearmanr

from pipeline.data.passages import Passage
from pipeline.evaluation.statistics import design_effect, wilson_interval
from pipeline.preferences.pair import PreferencePair
from pipeline.results.document import Interval
from pipeline.results.reward import AccuracyGroup, JudgeAgreement, MarginBin, MatchedAccuracy

GROUP_FIELDS = ("source", "file", "category")
"""Fields by which accuracy is broken down: how a pair was made, its file, and the category of its prompt."""


def groups_of(pair: PreferencePair) -> dict[str, str]:
    """The values of `GROUP_FIELDS` of a pair; pairs that were sampled here have no file."""
    groups = {"source": pair.source, "category": pair.category}
    return groups if pair.origin is None else {**groups, "file": pair.origin.file}


def prompt_numbers(pairs: Sequence[PreferencePair]) -> np.ndarray:
    """A number (N,) for each pair, equal for pairs of the same prompt."""
    first = {pair.prompt: at for at, pair in reversed(list(enumerate(pairs)))}
    return np.array([first[pair.prompt] for pair in pairs])


def accuracy_of(margins: np.ndarray, prompts: np.ndarray | None = None) -> Interval:
    """Share of margins above 0 with its Wilson interval; a tie is wrong.

    Args:
        margins: (N,), N > 0, chosen minus rejected score of each pair.
        prompts: (N,) of `prompt_numbers`: several pairs of a prompt say less than as many of different ones (see
            `design_effect`). None where each pair has its own.
    """
    right = margins > 0
    effect = 1.0 if prompts is None else design_effect(right, prompts)
    return wilson_interval(int(right.sum()), len(right), design_effect=effect)


def accuracy_by_group(margins: np.ndarray, pairs: Sequence[PreferencePair]) -> list[AccuracyGroup]:
    """Accuracy of each value of each group field, in the order of their names.

    A field whose value all pairs share is left out: its group would be all pairs.

    Args:
        margins: (N,), chosen minus rejected score of each pair.
    """
    table, prompts, groups = list[AccuracyGroup](), prompt_numbers(pairs), [groups_of(pair) for pair in pairs]
    for field in GROUP_FIELDS:
        values = [group.get(field) for group in groups]
        if len(set(values)) == 1:
            continue
        for value in sorted({one for one in values if one is not None}):
            inside = [one == value for one in values]
            accuracy = accuracy_of(margins[inside], prompts[inside])
            table.append(AccuracyGroup(field=field, value=value, accuracy=accuracy, pairs=sum(inside)))
    return table


def accuracy_by_size(
    margins: np.ndarray, sizes: np.ndarray, *, bins: int, prompts: np.ndarray | None = None
) -> list[MarginBin]:
    """Accuracy in bins of equal numbers of pairs, from the smallest to the largest of `sizes`.

    Args:
        margins, sizes, prompts: (N,), as of `accuracy_of`.
        bins: at most so many; fewer pairs than bins give a bin each.
    """
    parts = [part for part in np.array_split(np.argsort(sizes, kind="stable"), bins) if len(part)]
    return [
        MarginBin(
            low=float(sizes[part].min()),
            high=float(sizes[part].max()),
            accuracy=accuracy_of(margins[part], None if prompts is None else prompts[part]),
            pairs=len(part),
        )
        for part in parts
    ]


def length_matched_accuracy(
    margins: np.ndarray, pairs: Sequence[PreferencePair], *, max_ratio: float
) -> MatchedAccuracy:
    """Accuracy on the pairs whose longer response has at most `max_ratio` times the characters of the shorter.

    On these, a model that has learned length alone is no better than a coin.
    """
    matched = [max(pair.lengths) <= max_ratio * min(pair.lengths) for pair in pairs]
    accuracy = accuracy_of(margins[matched], prompt_numbers(pairs)[matched]) if any(matched) else None
    return MatchedAccuracy(accuracy=accuracy, pairs=sum(matched))


def judge_agreement(margins: np.ndarray, pairs: Sequence[PreferencePair]) -> JudgeAgreement | None:
    """How far the model's margins follow the judge's, on the pairs that have them; None without such pairs."""
    judged = np.array([np.nan if pair.judge_margin is None else pair.judge_margin for pair in pairs])
    known = ~np.isnan(judged)
    if not known.any():
        return None
    theirs, ours = judged[known], margins[known]
    varied = len(ours) > 2 and np.ptp(ours) > 0 and np.ptp(theirs) > 0
    weight = np.abs(theirs)
    right = np.where(np.sign(ours) == np.sign(theirs), 1.0, 0.0)
    return JudgeAgreement(
        pairs=len(ours),
        spearman=float(spearmanr(ours, theirs).statistic) if varied else None,
        weighted_accuracy=float((weight * right).sum() / weight.sum()) if weight.sum() else None,
    )


def margin_bins(
    margins: np.ndarray, pairs: Sequence[PreferencePair], *, bins: int
) -> tuple[list[MarginBin], list[MarginBin]]:
    """Accuracy by the size of the judge's margin (pairs that have one) and of the model's own, |margin| each."""
    known, prompts = [pair.judge_margin is not None for pair in pairs], prompt_numbers(pairs)
    judged = np.array([abs(pair.judge_margin) for pair in pairs if pair.judge_margin is not None])
    return (
        accuracy_by_size(margins[known], judged, bins=bins, prompts=prompts[known]),
        accuracy_by_size(margins, np.abs(margins), bins=bins, prompts=prompts),
    )


Scorer = Callable[[Sequence[Passage]], np.ndarray]
"""Scores (N,) of N texts, prompt and response each; higher is better."""


def score_pairs(score: Scorer, pairs: Sequence[PreferencePair]) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N,) of the chosen and (N,) of the rejected responses."""
    scores = score([pair.passages[0] for pair in pairs] + [pair.passages[1] for pair in pairs])
    return scores[: len(pairs)], scores[len(pairs) :]
