"""The files of a method that was trained with a seed, made up, and reading all of them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.evaluation.statistics import bootstrap_mean
from pipeline.report.inputs import SFT, PolicyReport, ReportInputs, TrainedPolicy, load_report_inputs
from pipeline.results.document import Interval

Json = dict[str, Any]

SAMPLES_PER_STEP = {"dpo": 8, "ppo": 64, "hybrid": 64}
MAX_SAMPLER_KL = {"ppo": 0.005, "hybrid": 0.005}
PROMPTS = 64
"""Validation prompts."""
LAST_STEPS = {"dpo": 48, "ppo": 15, "hybrid": 15}
LEVELS = {"sft": (0.47, 0.0), "dpo": (0.72, 5.0), "ppo": (0.70, 4.0), "hybrid": (0.75, 6.2)}


def load(root: Path, methods: Sequence[str] = ("dpo", "ppo"), seeds: Sequence[int] = (0,)) -> ReportInputs:
    return load_report_inputs(root, methods, seeds, SAMPLES_PER_STEP, MAX_SAMPLER_KL)


def point(step: int, kl: float, judge: float, *, reward: float | None = None, distinct_2: float = 0.83) -> Json:
    """A checkpoint; its reward score follows the judge's unless it is given."""
    score = 4 * (judge - 0.47) if reward is None else reward
    return {
        "step": step,
        "kl_nats_per_sequence": kl,
        "kl_interval": {"mean": kl, "low": kl - 0.1 * (step > 0), "high": kl + 0.1 * (step > 0)},
        "judge_score": {"mean": judge, "low": judge - 0.04, "high": judge + 0.04},
        "reward_score": {"mean": score, "low": score - 0.2, "high": score + 0.2},
        "judge_scores": spread(judge, 0.1),
        "reward_scores": spread(score, 0.5),
        "kl_nats": spread(kl, 0.2 * kl),
        "distinct_2": distinct_2,
    }


def spread(mean: float, half: float, prompts: int = PROMPTS) -> list[float]:
    """Scores by prompt with this mean: half of the prompts are easier than the others, at every checkpoint."""
    return [mean + (half if at % 2 else -half) for at in range(prompts)]


def checkpoints(points: Sequence[Json], **changes: object) -> Json:
    """A file of reports/checkpoints, the last of the points selected."""
    last = points[-1]["step"]
    facts = {"select": "best", "max_kl": 10.0, "judge_trusted": True, "prompts": PROMPTS, "repair": None}
    return {"points": list(points), "selected_step": last, "last_step": last, **facts, **changes}


def rising_checkpoints(method: str) -> Json:
    """The judge rises up to the end of training."""
    judge, kl = LEVELS[method]
    steps = [(LAST_STEPS[method] * quarter // 4, quarter / 4) for quarter in range(5)]
    points = [point(step, kl * share**1.6, 0.47 + (judge - 0.47) * share) for step, share in steps]
    return checkpoints(points, repair=REPAIR if method == "hybrid" else None)


REPAIR = {
    "threshold": 0.02,
    "confidence": 0.95,
    "prompts_trained": 40,
    "categories": [
        {
            "category": "<i>sad</i>",
            "prompts": 40,
            "sft": 0.6,
            "before": 0.5,
            "difference": {"mean": -0.1, "low": -0.15, "high": -0.05},
            "regressed": True,
        },
        {
            "category": "glad",
            "prompts": 60,
            "sft": 0.5,
            "before": 0.67,
            "difference": {"mean": 0.17, "low": 0.1, "high": 0.24},
            "regressed": False,
        },
    ],
}


def with_scores(policy: PolicyReport, **by: Callable[[int], float]) -> PolicyReport:
    """A policy whose samples score what a function of the prompt's place says, and metrics that say so.

    Args:
        by: `judge_score`, `reward_score` or `kl_nats`.
    """
    samples = [
        sample.model_copy(update={name: of(at) for name, of in by.items()}) for at, sample in enumerate(policy.samples)
    ]
    changes = {
        "kl_interval" if name == "kl_nats" else name: Interval.model_validate(
            bootstrap_mean([of(at) for at in range(len(samples))], resamples=500, seed=0, name=name)
        )
        for name, of in by.items()
    }
    return with_metrics(replace(policy, samples=samples), **changes)


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def with_policy(inputs: ReportInputs, policy: PolicyReport) -> ReportInputs:
    """The inputs with this policy in the place of the one of its name and seed."""
    if policy.name == SFT:
        return replace(inputs, sft=policy)
    assert isinstance(policy, TrainedPolicy)
    runs = [policy if run.seed == policy.seed else run for run in inputs.runs[policy.name]]
    return replace(inputs, runs={**inputs.runs, policy.name: runs})


def with_metrics(policy: PolicyReport, **changes: object) -> PolicyReport:
    """A policy with other metrics."""
    return replace(policy, metrics=policy.metrics.model_copy(update=changes))
