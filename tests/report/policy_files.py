"""What metrics.json says of every policy, from its samples."""

import math
from collections.abc import Sequence
from typing import Any

from tests.report.trained_files import LEVELS

Json = dict[str, Any]


def _interval(values: Sequence[float]) -> Json:
    mean = sum(values) / len(values)
    half = 1.96 * math.sqrt(sum((value - mean) ** 2 for value in values)) / len(values)
    return {"mean": mean, "low": mean - half, "high": mean + half}


def policy_metrics(name: str, samples: list[Json], baseline: list[Json]) -> Json:
    kl = _interval([row["kl_nats"] for row in samples])
    pairs = zip((row["judge_score"] for row in samples), (row["judge_score"] for row in baseline), strict=True)
    wins = [0.5 if ours == theirs else float(ours > theirs) for ours, theirs in pairs]
    level = LEVELS[name][1]
    kinds = {"glad": slice(0, None, 2), "<i>sad</i>": slice(1, None, 2)}
    return {
        "judge_score": _interval([row["judge_score"] for row in samples]),
        "judge_gain": _gain("judge_score", samples, baseline),
        "second_judge_score": _interval([row["second_judge_score"] for row in samples]),
        "second_judge_gain": _gain("second_judge_score", samples, baseline),
        "reward_score": _interval([row["reward_score"] for row in samples]),
        "reward_gain": _gain("reward_score", samples, baseline),
        "win_rate_vs_sft": _interval(wins),
        "length_controlled_win_rate": None if name == "sft" else 0.64,
        "length_controlled_interval": None if name == "sft" else {"mean": 0.64, "low": 0.49, "high": 0.77},
        "kl_nats_per_sequence": kl["mean"],
        "kl_interval": kl,
        "kl_nats_per_token": kl["mean"] / 23.4,
        "kl_k3_nats_per_sequence": 1.1 * level,
        "kl_k3_interval": {"mean": 1.1 * level, "low": level, "high": 1.2 * level},
        "kl_k3_nats_per_token": 1.1 * level / 23.4,
        "perplexity_held_out": 41.3 * (1 + 0.009 * level),
        "distinct_1": 0.41 - 0.01 * level,
        "distinct_2": 0.83 - 0.011 * level,
        "distinct_3": 0.95 - 0.01 * level,
        "self_bleu": 0.15 + 0.02 * level,
        "repeated_3grams": 0.005 + 0.002 * level,
        "mean_response_tokens": 23.4 - 0.1 * level,
        "median_response_tokens": 24.0,
        "p90_response_tokens": 24.0,
        "longest_response_tokens": 24.0,
        "eos_rate": 0.06,
        "eos_interval": {"mean": 0.06, "low": 0.02, "high": 0.16},
        "cut_rate": 0.94,
        "cut_interval": {"mean": 0.94, "low": 0.84, "high": 0.98},
        "evaluation_prompts": len(samples),
        "by_category": [_category(kind, samples[part], baseline[part]) for kind, part in kinds.items()],
    }


def _gain(score: str, samples: list[Json], baseline: list[Json]) -> Json:
    return _interval([ours[score] - theirs[score] for ours, theirs in zip(samples, baseline, strict=True)])


def _category(kind: str, samples: list[Json], baseline: list[Json]) -> Json:
    return {
        "category": kind,
        "prompts": len(samples),
        "judge_score": _interval([row["judge_score"] for row in samples]),
        "judge_gain": _gain("judge_score", samples, baseline),
        "reward_score": 1.0,
        "win_rate_vs_sft": _interval([0.5] * len(samples)),
        "kl_nats_per_sequence": 2.0,
    }
