"""What counts as a regression, and how often chance alone looks like one."""

import numpy as np
import pytest

from pipeline.evaluation.regressions import compare_categories, first_of_each_category

CATEGORIES = [f"kind {number % 4}" for number in range(160)]
RUNS = 2000


def test_of_each_category_the_first_prompts_are_measured() -> None:
    rows = [{"id": str(number), "category": category} for number, category in enumerate("aabab")]
    assert [row["id"] for row in first_of_each_category(rows, 2)] == ["0", "1", "2", "4"]


def alternating(mean: float, count: int) -> list[float]:
    return [mean + (0.02 if at % 2 else -0.02) for at in range(count)]


def test_a_category_has_regressed_where_it_fell_beyond_chance_and_by_more_than_the_threshold() -> None:
    falls = {"large": -0.1, "none": 0.0, "rose": 0.3, "small": -0.05}
    categories = [name for name in falls for _ in range(20)]
    policy = [score for fall in falls.values() for score in alternating(0.5 + fall, 20)]
    table = compare_categories(categories, [0.5] * 80, policy, confidence=0.95, max_drop=0.06)
    assert [(row.category, row.prompts, row.regressed) for row in table] == [
        ("large", 20, True), ("none", 20, False), ("rose", 20, False), ("small", 20, False),
    ]  # fmt: skip
    large = table[0]
    assert (large.sft, large.before) == pytest.approx((0.5, 0.4))
    assert large.difference.mean == pytest.approx(-0.1) and large.difference.high < 0
    assert table[3].difference.high < 0, "beyond chance, but too small to count"


def test_a_large_fall_that_may_be_chance_is_no_regression() -> None:
    """The mean alone said that it was one."""
    noisy = [0.5 + 0.45 * (-1) ** at - 0.1 for at in range(20)]
    (row,) = compare_categories(["a"] * 20, [0.5] * 20, noisy, confidence=0.95, max_drop=0.02)
    assert row.difference.mean < -0.02 and row.difference.high > 0 and not row.regressed


def test_one_prompt_is_no_regression() -> None:
    (row,) = compare_categories(["a"], [1.0], [0.0], confidence=0.95, max_drop=0.02)
    assert row.difference.as_json() == {"mean": -1.0, "low": None, "high": None} and not row.regressed


@pytest.mark.parametrize("verdicts", [False, True], ids=["scores", "verdicts"])
def test_of_a_judge_that_throws_dice_about_1_run_in_40_shows_a_regression(verdicts: bool) -> None:
    """The error of 0.05 has two tails, and a fall is one of them: 0.025 over all categories together."""
    rng = np.random.default_rng(0)

    def dice() -> list[float]:
        scores = rng.integers(0, 3, 160) / 2 if verdicts else rng.random(160)
        return scores.tolist()

    found, by_the_mean = 0, 0
    for _ in range(RUNS):
        table = compare_categories(CATEGORIES, dice(), dice(), confidence=0.95, max_drop=0.0)
        found += any(row.regressed for row in table)
        by_the_mean += any(row.before < row.sft - 0.02 for row in table)
    # three standard deviations of the share of so many runs
    assert abs(found / RUNS - 0.025) < 3 * (0.025 * 0.975 / RUNS) ** 0.5
    assert by_the_mean / RUNS > 0.7, "a fall of the mean by 0.02 was in most of them"
