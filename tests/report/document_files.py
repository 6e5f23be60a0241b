"""Made-up results of the reward model, the preferences, the data and the judges, as the stages write them."""

import random
import statistics
from typing import Any

Json = dict[str, Any]


def reward_and_data_documents(rng: random.Random) -> dict[str, Json]:
    """What evaluate_reward, validate_preferences, prepare_data and fit_judge write, by path."""
    chosen = [round(rng.gauss(0.7, 1.1), 4) for _ in range(160)]
    rejected = [round(rng.gauss(-0.7, 1.1), 4) for _ in range(160)]
    bins = _bins(rng)
    return {
        "reward_model/metrics.json": _reward_metrics(chosen, rejected),
        "reward_model/calibration.json": {
            "bins": bins, "bins_after_temperature": bins, "chosen_scores": chosen, "rejected_scores": rejected,
        },
        "preferences/summary.json": _summary(rng),
        "preferences/details.json": _details(),
        "data/sources.json": _sources(),
        "judge/metrics.json": {
            **measured_judge("classifier", 0.861),
            "evaluation": {**measured_judge("classifier", 0.853), **_SHARED, "agreement": 0.91},
            "second": {**measured_judge("lexicon", 0.66), **_SHARED},
        },
    }  # fmt: skip


def _bins(rng: random.Random) -> list[Json]:
    bins: list[Json] = []
    for index, count in enumerate([22, 18, 17, 15, 16, 14, 20, 18, 12, 0]):
        low = 0.5 + index / 20
        known = {"confidence": low + 0.025, "accuracy": min(1.0, low + 0.02 + rng.gauss(0, 0.05))}
        bins.append({"low": low, "high": low + 0.05, "confidence": None, "accuracy": None, "count": count}
                    | (known if count else {}))  # fmt: skip
    return bins


def _reward_metrics(chosen: list[float], rejected: list[float]) -> Json:
    return {
        "accuracy": {"mean": 0.79, "low": 0.73, "high": 0.85}, "longer_wins_accuracy": 0.52,
        "expected_calibration_error": 0.043, "pairs": 160, "mean_margin": 1.4, "truncated_texts": 0,
        "accuracy_design_effect": 1.0, "equal_scores_share": 0.0,
        "scores": {"chosen": _distribution(chosen), "rejected": _distribution(rejected)},
        "model": "own", "length_matched": {"accuracy": {"mean": 0.75, "low": 0.6, "high": 0.86}, "pairs": 40},
        "calibration": {
            "temperature": 1.31, "temperature_at_limit": False, "validation_pairs": 60, "loss_before": 0.46,
            "loss_after": 0.45, "error_before": 0.043, "error_after": 0.021,
            "expected_if_calibrated": {"mean": 0.051, "high": 0.077},
        },
        "robustness": {
            "texts": 64, "batch_deviation": 1e-6, "left_padding_deviation": None, "right_padding_deviation": 0.0,
            "max_deviation": 1e-6, "exceeds_limit": False,
        },
        "judge_agreement": {"spearman": 0.71, "pairs": 160, "weighted_accuracy": 0.88}, "near_ties_share": 0.02,
        "groups": [
            {"field": "source", "value": "<i>given</i>", "pairs": 160,
             "accuracy": {"mean": 0.79, "low": 0.73, "high": 0.85}},
        ],
        "judge_margin_bins": [
            {"low": 0.1, "high": 0.4, "pairs": 80, "accuracy": {"mean": 0.7, "low": 0.6, "high": 0.8}},
            {"low": 0.4, "high": 0.9, "pairs": 80, "accuracy": {"mean": 0.9, "low": 0.8, "high": 0.95}},
        ],
        "model_margin_bins": [],
        "models": [
            {"name": name, "accuracy": {"mean": mean, "low": mean - 0.06, "high": mean + 0.06},
             "length_matched": {"accuracy": None, "pairs": 0}, "expected_calibration_error": 0.04,
             "error_after_temperature": 0.02, "max_deviation": 1e-6, "truncated_texts": 0, "pairs": 160}
            for name, mean in (("own", 0.79), ("bought", 0.84), ("weak", 0.6))
        ],
    }  # fmt: skip


def _summary(rng: random.Random) -> Json:
    return {
        "raw": 560, "accepted": 543, "quarantined": 17, "by_split": {"train": 352, "validation": 44, "test": 147},
        "quarantined_by_reason": {"duplicate_pair": 11, "length_ratio": 6}, "ties_without_pair": 32,
        "warned_by_reason": {"prefix_pair": 3, "near_duplicate": 0}, "truncated_prompts": 0,
        "chosen_longer_share": 0.51, "mean_margin": 0.41, "mean_prompt_words": 6.0, "mean_chosen_words": 17.6,
        "mean_rejected_words": 17.1, "chosen_words": [max(3, round(rng.gauss(17.6, 3))) for _ in range(543)],
        "rejected_words": [max(3, round(rng.gauss(17.1, 3))) for _ in range(543)],
    }  # fmt: skip


def _details() -> Json:
    return {
        "by_source": {"pairs.jsonl": {"raw": 560, "accepted": 543, "rules": {"length_ratio": 6}}},
        "words": {name: {"0.5": 17.0} for name in ("prompt", "chosen", "rejected")},
        "prompts": {"pairs": 543, "distinct": 540, "most_pairs_of_one": 2, "distinct_beginnings_share": 0.8},
        "measured_pairs": 543, "votes": None,
        "cues": [
            {"kind": "word", "cue": "wonderful", "pairs": 40, "chosen_share": 0.9, "low": 0.77, "high": 0.96},
            {"kind": "first_word", "cue": "<b>not</b>", "pairs": 12, "chosen_share": 0.1, "low": 0.02, "high": 0.4},
        ],
        "examples": {
            "length_ratio": [
                {"id": "0123456789abcdef", "file": "pairs.jsonl", "rows": [7], "prompt": "The film is",
                 "chosen": " <script>alert(1)</script>", "rejected": " bad"},
            ],
        },
    }  # fmt: skip


def _sources() -> Json:
    return {
        "chat_format": "transcript",
        "sources": [
            {"file": "reviews.csv", "md5": None, "format": "labelled_texts: text = text", "rows": 9000,
             "fates": {"used.judge": 900, "used.train": 560, "unused.sft": 8000, "dropped.empty_text": 400,
                       "dropped.duplicate": 40, "dropped.near_duplicate_across_splits": 3},
             "unused_columns": [], "unused_fields": []},
        ],
        "examples": {"empty_text": [{"file": "reviews.csv", "row": 3, "seen": "", "value": "{'text': ''}"}]},
        "votes": {
            "comparisons": 50, "votes": 150, "annotators": 3, "votes_each": 3.0,
            "verdicts": {"a": 60, "b": 70, "tie": 20}, "krippendorff_alpha": 0.61,
            "first_shown_wins": 0.52, "decided_votes": 130,
        },
    }  # fmt: skip


def _distribution(scores: list[float]) -> Json:
    quantiles = {"05": 0.05, "25": 0.25, "50": 0.5, "75": 0.75, "95": 0.95}
    ordered = sorted(scores)
    return {
        "mean": statistics.fmean(scores), "standard_deviation": statistics.pstdev(scores),
        **{f"quantile_{name}": ordered[int(share * len(ordered))] for name, share in quantiles.items()},
    }  # fmt: skip


_SHARED = {"agreement": 0.7, "shared_error_share": 0.41, "expected_shared_error_share": 0.34}


def measured_judge(kind: str, accuracy: float) -> Json:
    """What fit_judge says of a judge that may be trusted."""
    return {
        "kind": kind, "family": f"made-up {kind}", "fitted_on": "labels", "texts": 1989, "majority_share": 0.503,
        "held_out_accuracy": {"mean": accuracy, "low": accuracy - 0.015, "high": accuracy + 0.015}, "problem": None,
    }  # fmt: skip
