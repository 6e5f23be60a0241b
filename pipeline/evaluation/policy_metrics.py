"""The metrics of a policy, from its samples and those of the SFT policy on the same prompts."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.data.table_rows import PromptRow
from pipeline.evaluation.categories import category_differences, judge_gain
from pipeline.evaluation.diversity import distinct_n, repetition, self_bleu
from pipeline.evaluation.equal_length import win_rate_at_equal_length
from pipeline.evaluation.policy import Evaluator, ScoredSample, matched, ties_where_unknown
from pipeline.evaluation.statistics import (
    JUDGE_GAIN_RANGE,
    JUDGE_RANGE,
    are_preferences,
    policy_difference,
    wilson_interval,
)
from pipeline.models.policy import load_policy
from pipeline.results.document import Interval
from pipeline.results.policies import (
    CategoryMetrics,
    DiversityMetrics,
    KlMetrics,
    LastCheckpoint,
    LengthMetrics,
    PolicyMetrics,
    ScoreMetrics,
)

MOST_CATEGORIES = 20
"""The most categories that get a row of their own; the rest share one, to keep the table readable."""


def policy_metrics(
    evaluator: Evaluator, samples: Sequence[ScoredSample], baseline: Sequence[ScoredSample], perplexity: float | None
) -> PolicyMetrics:
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
    equal_length = length_controlled(wins, theirs, ours)
    return PolicyMetrics(
        **score_metrics(evaluator, samples, before).as_fields(),
        win_rate_vs_sft=win_rate(wins, samples, before),
        length_controlled_win_rate=equal_length.mean if equal_length else None,
        length_controlled_interval=equal_length,
        **kl_metrics(evaluator, samples).as_fields(),
        perplexity_held_out=perplexity,
        **diversity_metrics(ours).as_fields(),
        **length_metrics(samples, limit=evaluator.sampling.max_new_tokens).as_fields(),
        evaluation_prompts=len(samples),
        by_category=category_metrics(evaluator, samples, before, wins),
        judge_verdicts=evaluator.judge.counts() or None,
    )


def last_metrics(
    evaluator: Evaluator, folder: Path, prompts: Sequence[PromptRow], baseline: Sequence[ScoredSample]
) -> LastCheckpoint:
    """Scores and KL of the policy at the end of training, which was not selected."""
    policy = load_policy(folder, evaluator.compute, finetuning=None)
    samples = evaluator.sample_and_score(policy, prompts, title="last checkpoint", baseline=baseline)
    before = matched(baseline, [sample.id for sample in samples])
    scores = score_metrics(evaluator, samples, before)
    return LastCheckpoint(
        judge_score=scores.judge_score,
        reward_score=scores.reward_score,
        kl_nats_per_sequence=kl_metrics(evaluator, samples).kl_nats_per_sequence,
    )


def score_metrics(
    evaluator: Evaluator, samples: Sequence[ScoredSample], before: Sequence[ScoredSample]
) -> ScoreMetrics:
    """Judge and reward score, and how much higher they are than those of the SFT policy on the same prompts.

    Of the second judge, too, where it scored the samples. A gain is the report's `pairs` of the same samples, number
    for number: one thing has one interval.
    """
    intervals = {}
    second = [("second_judge", JUDGE_RANGE, JUDGE_GAIN_RANGE)] if samples[0].second_judge_score is not None else []
    for kind, scores, gains in (("judge", JUDGE_RANGE, JUDGE_GAIN_RANGE), *second, ("reward", None, None)):
        ours, theirs = ([getattr(sample, f"{kind}_score") for sample in side] for side in (samples, before))
        itself = are_the_same(samples, before)
        # a judge that compares with the SFT policy gives it one half by definition
        known = itself and kind == "judge" and set(ours) == {0.5}
        intervals[f"{kind}_score"] = (
            _certain(0.5) if known else evaluator.interval(ours, f"{kind}_score", within=scores)
        )
        intervals[f"{kind}_gain"] = _certain(0.0) if itself else policy_difference(ours, theirs, within=gains)
    return ScoreMetrics(**intervals)


def are_the_same(samples: Sequence[ScoredSample], before: Sequence[ScoredSample]) -> bool:
    """Whether these are the SFT policy's own samples: against itself it gains nothing, by definition."""
    return all(one is other for one, other in zip(samples, before, strict=True))


def _certain(value: float) -> Interval:
    return Interval(mean=value, low=value, high=value)


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
    """The win rate as a gain plus one half, for a judge whose score is the preference over the SFT policy."""
    low, high = max(0.0, 0.5 + gain.low), min(1.0, 0.5 + gain.high)
    return Interval(mean=0.5 + gain.mean, low=low, high=high)


def length_controlled(wins: np.ndarray, theirs: Sequence[str], ours: Sequence[str]) -> Interval | None:
    """The win rate at equal length in characters, as `win_rate_at_equal_length` has it.

    Args:
        wins: (N,) 1 where ours wins, 0.5 at a tie, 0 where theirs wins.
    """
    longer = np.array([len(one) - len(other) for one, other in zip(ours, theirs, strict=True)])
    return win_rate_at_equal_length(wins, longer)


def kl_metrics(evaluator: Evaluator, samples: Sequence[ScoredSample]) -> KlMetrics:
    """KL from the SFT policy in nats, by both estimators: per sequence, and per token (all nats / all tokens)."""
    tokens = sum(sample.tokens for sample in samples)
    k1, k3 = [sample.kl_nats for sample in samples], [sample.kl_k3_nats for sample in samples]
    k1_interval, k3_interval = evaluator.interval(k1, "kl"), evaluator.interval(k3, "kl_k3")
    return KlMetrics(
        kl_nats_per_sequence=k1_interval.mean,
        kl_interval=k1_interval,
        kl_nats_per_token=sum(k1) / tokens if tokens else 0.0,
        kl_k3_nats_per_sequence=k3_interval.mean,
        kl_k3_interval=k3_interval,
        kl_k3_nats_per_token=sum(k3) / tokens if tokens else 0.0,
    )


def diversity_metrics(responses: Sequence[str]) -> DiversityMetrics:
    """What repeats: between the responses (distinct-n, self-BLEU), and inside each (3-grams)."""
    return DiversityMetrics(
        distinct_1=distinct_n(responses, 1),
        distinct_2=distinct_n(responses, 2),
        distinct_3=distinct_n(responses, 3),
        self_bleu=self_bleu(responses),
        repeated_3grams=repetition(responses, 3),
    )


def length_metrics(samples: Sequence[ScoredSample], *, limit: int) -> LengthMetrics:
    """Response lengths in tokens, and how responses end: by EOS, or cut at `limit` tokens without a stop token."""
    tokens = [sample.tokens for sample in samples]
    ended = wilson_interval(sum(sample.ended for sample in samples), len(samples))
    cut = wilson_interval(sum(not sample.ended and sample.tokens >= limit for sample in samples), len(samples))
    return LengthMetrics(
        mean_response_tokens=float(np.mean(tokens)),
        median_response_tokens=float(np.median(tokens)),
        p90_response_tokens=float(np.quantile(tokens, 0.9)),
        longest_response_tokens=float(max(tokens)),
        eos_rate=ended.mean,
        eos_interval=ended,
        cut_rate=cut.mean,
        cut_interval=cut,
    )


def category_metrics(
    evaluator: Evaluator, samples: Sequence[ScoredSample], before: Sequence[ScoredSample], wins: np.ndarray
) -> list[CategoryMetrics]:
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
        row = CategoryMetrics(
            category=name,
            prompts=len(inside),
            judge_score=evaluator.interval(judged, f"judge_score/{name}", within=JUDGE_RANGE),
            judge_gain=gain,
            reward_score=float(np.mean([sample.reward_score for sample in ours])),
            win_rate_vs_sft=_rate_of(gain) if compared else win_rate(wins[inside], ours, theirs),
            kl_nats_per_sequence=float(np.mean([sample.kl_nats for sample in ours])),
        )
        rows.append(row)
    return rows


def row_names(categories: Sequence[str]) -> dict[str, str]:
    """Name of the row of each category, those with most prompts first, equals by name."""
    counts = Counter(categories)
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    if len(ordered) <= MOST_CATEGORIES:
        return {name: name for name in ordered}
    rest = f"{len(ordered) - MOST_CATEGORIES + 1} others"
    return {name: name if place < MOST_CATEGORIES - 1 else rest for place, name in enumerate(ordered)}
