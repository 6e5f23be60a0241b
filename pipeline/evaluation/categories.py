"""Two policies compared on each category of prompts, with one confidence for all categories together."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri, stdtrit

from pipeline.evaluation.statistics import JUDGE_GAIN_RANGE, unseen
from pipeline.results.document import Interval
from pipeline.results.repair import CategoryDifference, Difference


def fewest_prompts(confidence: float) -> int:
    """The smallest number of prompts with which a difference can be beyond chance.

    Of two equal policies either may be the better one on a prompt, so n prompts agree on one side with a probability of
    2^-n (the sign test). It has to be at most one tail, (1 - confidence) / 2.

    Args:
        confidence: in [0, 1).
    """
    return math.ceil(math.log2(2 / (1 - confidence)))


def category_differences(
    categories: Sequence[str], ours: Sequence[float], theirs: Sequence[float], *, confidence: float
) -> dict[str, CategoryDifference]:
    """Paired differences of each category, by name, whose intervals all hold together with this confidence.

    Many categories have many chances to differ. Each of K intervals is therefore at confidence^(1 / K): they share no
    prompt, so all of them hold with the product (Sidak 1967, doi:10.1080/01621459.1967.10482935). Holm's steps reject
    more, but leave no interval to show. K counts the categories with enough prompts to show anything, which is known
    before any score. The intervals are Student's, of the differences: levels that close to 1 need tails
    that a bootstrap of few prompts does not have. Differences that hardly differ get at least what `unseen` allows.

    Args:
        categories: (N,), of the prompts.
        ours, theirs: (N,) scores in [0, 1] on the same prompts.
        confidence: in [0, 1).

    Raises:
        ValueError: the lengths differ.
    """
    if not len(categories) == len(ours) == len(theirs):
        raise ValueError(f"{len(categories)} categories, {len(ours)} and {len(theirs)} scores of the same prompts")
    difference = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    level = level_of_each(categories, confidence)
    places = {name: [at for at, one in enumerate(categories) if one == name] for name in sorted(set(categories))}
    return {name: _difference(difference[inside], level) for name, inside in places.items()}


def judge_gain(difference: Difference) -> Interval:
    """Interval of a difference of judge scores; with too few prompts to show anything, the whole possible range."""
    lowest, highest = JUDGE_GAIN_RANGE
    low, high = difference.low, difference.high
    return Interval(
        mean=difference.mean,
        low=lowest if low is None else max(lowest, low),
        high=highest if high is None else min(highest, high),
    )


def level_of_each(categories: Sequence[str], confidence: float) -> float:
    """Level of one category's interval, where all of them together have this confidence."""
    enough = sum(count >= fewest_prompts(confidence) for count in Counter(categories).values())
    return float(confidence ** (1 / max(enough, 1)))


def _difference(values: np.ndarray, level: float) -> CategoryDifference:
    count, mean = len(values), float(values.mean())
    if count < max(2, fewest_prompts(level)):
        return CategoryDifference(prompts=count, mean=mean, low=None, high=None)
    half = float(stdtrit(count - 1, (1 + level) / 2) * values.std(ddof=1) / math.sqrt(count))
    below, above = unseen(values, JUDGE_GAIN_RANGE, z=float(ndtri((1 + level) / 2)))
    return CategoryDifference(prompts=count, mean=mean, low=mean - max(half, below), high=mean + max(half, above))
