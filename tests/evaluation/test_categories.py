"""Intervals of many categories at once: by hand, against scipy, and how often chance alone shows a difference."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from pipeline.evaluation.categories import (
    category_differences,
    fewest_prompts,
    judge_gain,
    level_of_each,
)
from pipeline.results.repair import Difference


@pytest.mark.parametrize(("confidence", "count"), [(0.0, 1), (0.5, 2), (0.95, 6), (0.99, 8), (1 - 0.05 / 20, 10)])
def test_so_few_prompts_agree_by_chance_too_often(confidence: float, count: int) -> None:
    assert fewest_prompts(confidence) == count
    assert 2.0**-count <= (1 - confidence) / 2 < 2.0 ** -(count - 1)


def test_an_interval_is_students_at_a_share_of_the_error() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(60), rng.random(60)
    categories = ["a", "b", "c"] * 20
    found = category_differences(categories, ours.tolist(), theirs.tolist(), confidence=0.95)
    assert list(found) == ["a", "b", "c"]
    for place, name in enumerate("abc"):
        peer = ttest_rel(ours[place::3], theirs[place::3]).confidence_interval(0.95 ** (1 / 3))
        assert found[name].prompts == 20
        assert found[name].mean == pytest.approx((ours - theirs)[place::3].mean())
        assert (found[name].low, found[name].high) == pytest.approx((peer.low, peer.high))


def test_few_prompts_show_nothing_and_cost_the_others_nothing() -> None:
    """Ten categories of one prompt each: they are not among those that are tested."""
    many, few = ["many"] * 30, [f"few {number}" for number in range(10)]
    scores = [0.1 * (at % 5) for at in range(40)]
    found = category_differences([*many, *few], scores, [0.0] * 40, confidence=0.95)
    assert found["few 3"].as_json() == {"prompts": 1, "mean": pytest.approx(0.3), "low": None, "high": None}
    assert found["many"] == category_differences(many, scores[:30], [0.0] * 30, confidence=0.95)["many"]
    assert level_of_each([*many, *few], 0.95) == pytest.approx(0.95)
    assert level_of_each(few, 0.95) == pytest.approx(0.95), "none is tested"


def test_two_prompts_that_agree_are_no_proof() -> None:
    """A judge of few verdicts gives equal differences, which have no spread: an interval without a width is none."""
    found = category_differences(["a"] * 5, [0.0] * 5, [0.5] * 5, confidence=0.95)["a"]
    assert (found.mean, found.low, found.high) == (-0.5, None, None)
    # six of six on one side are 1 in 64, at most one tail of 0.025
    six = category_differences(["a"] * 6, [0.0, 0.1] * 3, [0.5] * 6, confidence=0.95)["a"]
    assert six.high is not None and six.high < 0


def test_equal_differences_may_hide_others() -> None:
    """0 of 6 may be 39 % (Wilson), anywhere from -1 to 1; a millionth of spread does not change that."""
    share = 1.96**2 / (6 + 1.96**2)
    for theirs in ([0.5] * 6, [0.5, 0.500001] * 3):
        found = category_differences(["a"] * 6, [0.0] * 6, theirs, confidence=0.95)["a"]
        assert found.high == pytest.approx(-0.5 + share * 1.5, abs=1e-3)


def test_scores_of_other_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="the same prompts"):
        category_differences(["a"], [0.1], [0.1, 0.2], confidence=0.95)


def test_a_judge_gain_lies_in_its_range_and_is_all_of_it_where_nothing_is_shown() -> None:
    wide = Difference(mean=0.5, low=-1.2, high=1.4)
    assert judge_gain(wide).as_json() == {"mean": 0.5, "low": -1.0, "high": 1.0}
    assert judge_gain(Difference(mean=0.5, low=None, high=None)).as_json() == {"mean": 0.5, "low": -1.0, "high": 1.0}
    assert judge_gain(Difference(mean=0.5, low=0.2, high=0.8)).as_json() == {"mean": 0.5, "low": 0.2, "high": 0.8}
