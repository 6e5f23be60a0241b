"""Categories of prompts that a policy made worse, by the judge."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from pipeline.data.table_rows import PromptRow
from pipeline.evaluation.categories import category_differences
from pipeline.evaluation.policy import Evaluator
from pipeline.models.policy import Policy
from pipeline.params.evaluation import FindRegressions
from pipeline.results.repair import CheckedCategory, Difference, Repair


def find_regressions(
    evaluator: Evaluator, policy: Policy, prompts: Sequence[PromptRow], settings: FindRegressions
) -> tuple[Repair, list[PromptRow]]:
    """Sample the SFT policy and another one on the same prompts, and compare the judge's scores by category.

    Args:
        prompts: `id`, `prompt` and `category` of all; of each category, the first are measured.

    Returns:
        What is to be repaired, and the prompts, measured or not, of the categories that have regressed.
    """
    measured = first_of_each_category(prompts, settings.prompts_per_category)
    sft = evaluator.sample_and_score(evaluator.reference, measured, title="sft samples")
    samples = evaluator.sample_and_score(policy, measured, title="samples", baseline=sft)
    before, after = ([sample.judge_score for sample in side] for side in (sft, samples))
    table = compare_categories(
        [row["category"] for row in measured],
        before,
        after,
        confidence=settings.confidence,
        max_drop=settings.max_drop,
    )
    regressed = {row.category for row in table if row.regressed}
    trained = [row for row in prompts if row["category"] in regressed]
    repair = Repair(
        threshold=settings.max_drop, confidence=settings.confidence, categories=table, prompts_trained=len(trained)
    )
    return repair, trained


def category_lines(table: Sequence[CheckedCategory]) -> list[str]:
    """The table of `compare_categories` for the terminal."""
    return [
        f"  {row.category}: judge score {row.sft:.3f} -> {row.before:.3f}{', has regressed' if row.regressed else ''}"
        for row in table
    ]


def first_of_each_category(prompts: Sequence[PromptRow], count: int) -> list[PromptRow]:
    """At most `count` prompts of each category, in their order."""
    seen: Counter[str] = Counter()
    kept = []
    for prompt in prompts:
        seen[prompt["category"]] += 1
        if seen[prompt["category"]] <= count:
            kept.append(prompt)
    return kept


def compare_categories(
    categories: Sequence[str], sft: Sequence[float], policy: Sequence[float], *, confidence: float, max_drop: float
) -> list[CheckedCategory]:
    """For each category, by name: judge scores of both policies, their difference, and whether it has regressed.

    It has where the whole interval of the paired difference lies below 0, all categories counted
    (`category_differences`), and the mean fell by more than `max_drop`. Those found are the lowest of several noisy
    numbers: on the same prompts they would come back by themselves (regression to the mean), so a repair has to be
    verified on others.

    Args:
        categories: of the prompts, (N,).
        sft, policy: judge scores on the same prompts, (N,).
        confidence: of all intervals together.
        max_drop: smaller falls do not count, in score units.
    """
    before, after = np.asarray(sft, dtype=np.float64), np.asarray(policy, dtype=np.float64)
    table = []
    for category, change in category_differences(categories, policy, sft, confidence=confidence).items():
        inside = np.array([one == category for one in categories])
        fell = change.high is not None and change.high < 0
        table.append(
            CheckedCategory(
                category=category,
                prompts=change.prompts,
                sft=float(before[inside].mean()),
                before=float(after[inside].mean()),
                difference=Difference(mean=change.mean, low=change.low, high=change.high),
                regressed=fell and -change.mean > max_drop,
            )
        )
    return table
