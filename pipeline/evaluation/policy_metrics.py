"""The metrics of a policy, from its samples and those of the SFT policy on the same prompts."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluation.categories import category_differences, judge_gain
from pipeline.evaluation.diversity import distinct_n, repetition, self_bleu
from pipeline.evaluation.equal_length import win_rate_at_equal_length
from pipeline.evaluation.policy import Evaluator, ScoredSample, matched, ties_where_unknown
from pipeline.evaluation.statistics import (
    JUDGE_GAIN_RANGE,
    JUDGE_RANGE,
    Interval,
    are_preferences,
    policy_difference,
    wilson_interval,
)
from pipeline.models.policy import load_policy

MOST_CATEGORIES = 20
"""Categories with a row of their own; more are more than anybody reads."""


def policy_metrics(
    evaluator: Evaluator, samples: Sequence[ScoredSample], baseline: Sequence[ScoredSample], perplexity: float | None
) -> dict[str, Any]:
    """The metrics of one policy against the SFT policy's samples on the same prompts.

    A comparison for which the judge gave no usable verdict counts as a tie; `judge_verdicts` says how many did.

    Args:
        samples: one for each prompt.
        baseline: of the SFT policy, among them one for each of these prompts.
    """
    before = matched(baseline, [sample.id for sample in samples])
    ours, theirs = ([sample.response for sample in side] for side in (samples, before))
    passages = ([sample.passage for sample in side] for side in (samples, before))
    wins = ties_where_unknown(evaluator.judge.compare([sample.prompt for sample in samples], *passages))
    counts = evaluator.judge.counts()
    return {
        **score_metrics(evaluator, samples, before),
        "win_rate_vs_sft": win_rate(wins, samples, before),
        **length_controlled(wins, theirs, ours),
        **kl_metrics(evaluator, samples),
        "perplexity_held_out": perplexity,
        **diversity_metrics(ours),
        **length_metrics(samples, limit=evaluator.sampling.max_new_tokens),
        "evaluation_prompts": len(samples),
        "by_category": category_metrics(evaluator, samples, before, wins),
        **({"judge_verdicts": counts} if counts else {}),
    }


def last_metrics(
    evaluator: Evaluator, folder: Path, prompts: Sequence[dict[str, Any]], baseline: Sequence[ScoredSample]
) -> dict[str, Any]:
    """Scores and KL of the policy at the end of training, which was not selected."""
    policy = load_policy(folder, evaluator.compute, finetuning=None)
    samples = evaluator.sample_and_score(policy, prompts, title="last checkpoint", baseline=baseline)
    before = matched(baseline, [sample.id for sample in samples])
    found = {**score_metrics(evaluator, samples, before), **kl_metrics(evaluator, samples)}
    return {name: found[name] for name in ("judge_score", "reward_score", "kl_nats_per_sequence")}


def score_metrics(
    evaluator: Evaluator, samples: Sequence[ScoredSample], before: Sequence[ScoredSample]
) -> dict[str, Any]:
    """Judge and reward score, and how much higher they are than those of the SFT policy on the same prompts.

    Of the second judge, too, where it scored the samples. A gain is the report's `pairs` of the same samples, number
    for number: one thing has one interval.
    """
    found = {}
    second = [("second_judge", JUDGE_RANGE, JUDGE_GAIN_RANGE)] if samples[0].second_judge_score is not None else []
    for kind, scores, gains in (("judge", JUDGE_RANGE, JUDGE_GAIN_RANGE), *second, ("reward", None, None)):
        ours, theirs = ([getattr(sample, f"{kind}_score") for sample in side] for side in (samples, before))
        itself = are_the_same(samples, before)
        # of a judge that compares with the SFT policy: half, by definition
        known = itself and kind == "judge" and set(ours) == {0.5}
        found[f"{kind}_score"] = _certain(0.5) if known else evaluator.interval(ours, f"{kind}_score", within=scores)
        found[f"{kind}_gain"] = _certain(0.0) if itself else policy_difference(ours, theirs, within=gains)
    return found


def are_the_same(samples: Sequence[ScoredSample], before: Sequence[ScoredSample]) -> bool:
    """Whether these are the SFT policy's own samples: against itself it gains nothing, by definition."""
    return all(one is other for one, other in zip(samples, before, strict=True))


def _certain(value: float) -> Interval:
    return {"mean": value, "low": value, "high": value}


def win_rate(wins: np.ndarray, samples: Sequence[ScoredSample], before: Sequence[ScoredSample]) -> Interval:
    """Mean of wins with its Wilson interval, which has a width at 0 and 1, too; ties count half.

    Where the judge compares with the SFT policy, a win is what it gives as score: then the gain and the win rate are
    one quantity, and have one interval.

    Args:
        wins: (N,) of `ties_where_unknown`, for these samples against those of the SFT policy before.
    """
    if are_the_same(samples, before):
        return _certain(0.5)  # by definition
    ours, theirs = (np.array([sample.judge_score for sample in side]) for side in (samples, before))
    if np.array_equal(ours, wins) and are_preferences(ours, theirs):
        return _rate_of(policy_difference(ours, theirs, within=JUDGE_GAIN_RANGE))
    return wilson_interval(float(wins.sum()), len(wins))


def _rate_of(gain: Interval) -> Interval:
    """The win rate that a gain in preference over the SFT policy is."""
    low, high = max(0.0, 0.5 + gain["low"]), min(1.0, 0.5 + gain["high"])
    return {"mean": 0.5 + gain["mean"], "low": low, "high": high}


def length_controlled(wins: np.ndarray, theirs: Sequence[str], ours: Sequence[str]) -> dict[str, Any]:
    """The win rate at equal length in characters, and its interval: of `win_rate_at_equal_length`, or None.

    Args:
        wins: (N,) 1 where ours wins, 0.5 at a tie, 0 where theirs wins.
    """
    longer = np.array([len(one) - len(other) for one, other in zip(ours, theirs, strict=True)])
    found = win_rate_at_equal_length(wins, longer)
    return {"length_controlled_win_rate": found["mean"] if found else None, "length_controlled_interval": found}


def kl_metrics(evaluator: Evaluator, samples: Sequence[ScoredSample]) -> dict[str, Any]:
    """KL from the SFT policy in nats, by both estimators: per sequence, and per token (all nats / all tokens)."""
    tokens = sum(sample.tokens for sample in samples)
    found: dict[str, Any] = {}
    for estimator, values in (
        ("kl", [sample.kl_nats for sample in samples]),
        ("kl_k3", [sample.kl_k3_nats for sample in samples]),
    ):
        interval = evaluator.interval(values, estimator)
        found[f"{estimator}_nats_per_sequence"] = interval["mean"]
        found[f"{estimator}_interval"] = interval
        found[f"{estimator}_nats_per_token"] = sum(values) / tokens if tokens else 0.0
    return found


def diversity_metrics(responses: Sequence[str]) -> dict[str, Any]:
    """What repeats: between the responses (distinct-n, self-BLEU), and inside each (3-grams)."""
    return {
        **{f"distinct_{n}": distinct_n(responses, n) for n in (1, 2, 3)},
        "self_bleu": self_bleu(responses),
        "repeated_3grams": repetition(responses, 3),
    }


def length_metrics(samples: Sequence[ScoredSample], *, limit: int) -> dict[str, Any]:
    """Response lengths in tokens, and how responses end: by EOS, or cut at `limit` tokens without a stop token."""
    tokens = [sample.tokens for sample in samples]
    ended = wilson_interval(sum(sample.ended for sample in samples), len(samples))
    cut = wilson_interval(sum(not sample.ended and sample.tokens >= limit for sample in samples), len(samples))
    return {
        "mean_response_tokens": float(np.mean(tokens)),
        "median_response_tokens": float(np.median(tokens)),
        "p90_response_tokens": float(np.quantile(tokens, 0.9)),
        "longest_response_tokens": float(max(tokens)),
        "eos_rate": ended["mean"],
        "eos_interval": ended,
        "cut_rate": cut["mean"],
        "cut_interval": cut,
    }


def category_metrics(
    evaluator: Evaluator, samples: Sequence[ScoredSample], before: Sequence[ScoredSample], wins: np.ndarray
) -> list[dict[str, Any]]:
    """Scores, gain, wins and KL on the prompts of each category, the largest first; none where all have the same.

    Beyond `MOST_CATEGORIES` the smallest share a last row, which says how many they are. The intervals of the gains
    hold together, for all rows: else one category in twenty would look better or worse by chance.

    Args:
        samples, before, wins: (N,) of the same prompts.
    """
    names, itself = row_names([sample.category for sample in samples]), are_the_same(samples, before)
    rows = []
    scores = [[sample.judge_score for sample in side] for side in (samples, before)]
    compared = np.array_equal(scores[0], wins) and are_preferences(*scores)
    gains = category_differences([names[sample.category] for sample in samples], *scores, confidence=0.95)
    for name in dict.fromkeys(names.values()) if len(names) > 1 else ():
        inside = [at for at, sample in enumerate(samples) if names[sample.category] == name]
        ours = [samples[at] for at in inside]
        judged = [sample.judge_score for sample in ours]
        theirs = [before[at] for at in inside]
        gain = _certain(0.0) if itself else judge_gain(gains[name])
        rows.append({
            "category": name,
            "prompts": len(inside),
            "judge_score": evaluator.interval(judged, f"judge_score/{name}", within=JUDGE_RANGE),
            "judge_gain": gain,
            "reward_score": float(np.mean([sample.reward_score for sample in ours])),
            "win_rate_vs_sft": _rate_of(gain) if compared else win_rate(wins[inside], ours, theirs),
            "kl_nats_per_sequence": float(np.mean([sample.kl_nats for sample in ours])),
        })  # fmt: skip
    return rows


def row_names(categories: Sequence[str]) -> dict[str, str]:
    """Name of the row of each category, those with most prompts first, equals by name."""
    counts = Counter(categories)
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    if len(ordered) <= MOST_CATEGORIES:
        return {name: name for name in ordered}
    rest = f"{len(ordered) - MOST_CATEGORIES + 1} others"
    return {name: name if place < MOST_CATEGORIES - 1 else rest for place, name in enumerate(ordered)}
