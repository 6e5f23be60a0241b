"""Categories of prompts that a policy made worse, by the judge."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.evaluation.policy import Evaluator, ScoredSample


def first_of_each_category(prompts: Sequence[dict[str, str]], count: int) -> list[dict[str, str]]:
    """At most `count` prompts of each category, in their order."""
    seen: Counter[str] = Counter()
    kept = []
    for prompt in prompts:
        seen[prompt["category"]] += 1
        if seen[prompt["category"]] <= count:
            kept.append(prompt)
    return kept


def compare_categories(
    evaluator: Evaluator,
    categories: Sequence[str],
    sft: Sequence[ScoredSample],
    policy: Sequence[ScoredSample],
    *,
    max_drop: float,
) -> list[dict[str, Any]]:
    """For each category, by name: prompts, judge scores of both policies, and whether it has regressed.

    Args:
        categories: of the prompts, in the order of the samples.
        sft, policy: samples on the same prompts.
        max_drop: it has regressed when its mean judge score fell by more than this.

    Returns:
        `category`, `prompts`, `sft`, `before` (the mean of `policy`), `difference` (paired, with its bootstrap
        interval) and `regressed`.
    """
    before, after = (np.array([sample.judge_score for sample in samples]) for samples in (sft, policy))
    table = []
    for category in sorted(set(categories)):
        inside = np.array([one == category for one in categories])
        difference = evaluator.paired_interval(after[inside], before[inside], f"regressions/{category}")
        table.append(
            {
                "category": category,
                "prompts": int(inside.sum()),
                "sft": float(before[inside].mean()),
                "before": float(after[inside].mean()),
                "difference": difference,
                "regressed": bool(-difference["mean"] > max_drop),
            }
        )
    return table


def add_repaired(
    found: dict[str, Any], prompts: Sequence[dict[str, str]], samples: Sequence[ScoredSample]
) -> dict[str, Any]:
    """What `find_regressions` found, with the judge score of each category under the repaired policy as `after`.

    Args:
        found: `categories` of `compare_categories`, `threshold` and `prompts_trained`.
        prompts, samples: those of then, and what the repaired policy writes.
    """
    scores = np.array([sample.judge_score for sample in samples])
    table = [
        {
            **{key: row[key] for key in ("category", "prompts", "sft", "before")},
            "after": float(scores[[one["category"] == row["category"] for one in prompts]].mean()),
            "repaired": row["regressed"],
        }
        for row in found["categories"]
    ]
    return {**found, "categories": table}
