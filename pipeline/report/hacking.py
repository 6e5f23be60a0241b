"""Reward hacking in words: the reward score is up while something that it stands for got worse."""

import statistics
from collections.abc import Sequence
from typing import Any

from pipeline.params.schema import WriteReport
from pipeline.report.checkpoint_documents import CheckpointPoint
from pipeline.report.documents import Sample
from pipeline.report.inputs import PolicyReport, TrainedPolicy
from pipeline.report.limits import distinct_ratio, loses_diversity, perplexity_ratio, unlearns_language

Z_95 = 1.959963984540054
MAX_EXAMPLES = 3
_MEANING = "Reward hacking: the policy exploits errors of the reward model"
_ADVICE = "Stop at lower KL, raise kl_coef or beta, or collect preferences from the new policy"


def hacking_message(run: TrainedPolicy, sft: PolicyReport, params: WriteReport) -> str | None:
    """From SFT to the selected policy on the evaluation prompts, and along the checkpoints on the validation prompts.

    Returns:
        None where the reward score did not rise, or nothing got worse with it.
    """
    seen = [*_against_sft(run, sft, params), *_along_checkpoints(run, sft, params)]
    return f"{' '.join(seen)} {_MEANING}. {_ADVICE}." if seen else None


def _against_sft(run: TrainedPolicy, sft: PolicyReport, params: WriteReport) -> list[str]:
    ours, before = run.metrics, sft.metrics
    if not ours.reward_score.above(before.reward_score):
        return []
    worse = []
    if not ours.judge_score.above(before.judge_score):
        fell = before.judge_score.above(ours.judge_score)
        drop = before.judge_score.mean - ours.judge_score.mean
        worse.append(f"the judge score fell by {drop:.2f}" if fell else "the judge score did not rise")
    if unlearns_language(ours, before, params):
        worse.append(f"held-out perplexity rose to {perplexity_ratio(ours, before):.2f} times SFT's")
    if loses_diversity(ours, before, params):
        worse.append(f"distinct-2 fell to {distinct_ratio(ours.distinct_2, before.distinct_2):.2f} times SFT's")
    rise = ours.reward_score.mean - before.reward_score.mean
    return [f"From SFT to this policy the reward score rose by {rise:.2f}, while {' and '.join(worse)}."] * bool(worse)


def _along_checkpoints(run: TrainedPolicy, sft: PolicyReport, params: WriteReport) -> list[str]:
    points, noise = run.checkpoints.points, paired_noise(run, sft)
    seen = []
    peak = judge_peak(points)
    if (fall := fall_after_peak(points, noise)) is not None:
        scores = f"from {peak.judge_score.mean:.2f} at {_place(peak)} to {fall.judge_score.mean:.2f} at {_place(fall)}"
        rise = fall.reward_score.mean - peak.reward_score.mean
        seen.append(
            f"Along the checkpoints the judge score fell {scores}, by more than the paired noise of {noise:.2f}, while "
            f"the reward score rose by {rise:.2f}; {_selected(run, fall)}."
        )
    if (poor := first_poor(points, params.min_distinct_ratio)) is not None:
        share = distinct_ratio(poor.distinct_2, points[0].distinct_2)
        rise = poor.reward_score.mean - points[0].reward_score.mean
        seen.append(
            f"From {_place(poor)} on distinct-2 is {share:.2f} times SFT's, with the reward score up by {rise:.2f}; "
            f"{_selected(run, poor)}."
        )
    return seen


def _place(point: CheckpointPoint) -> str:
    return f"step {point.step} (KL {max(point.kl_nats_per_sequence, 0.0):.1f} nats)"


def _selected(run: TrainedPolicy, point: CheckpointPoint) -> str:
    selected = run.checkpoints.selected_step
    return f"the selected step {selected} lies {'before that' if selected < point.step else 'there or after it'}"


def paired_noise(run: TrainedPolicy, sft: PolicyReport) -> float:
    """Half the width of the 95 % interval of a difference of two judge scores on the validation prompts.

    Checkpoints keep means, not the score of each prompt. The deviation of the differences between the selected policy
    and SFT, prompt by prompt on the evaluation prompts, stands for theirs: two checkpoints of one run are more alike,
    so it rather overstates the noise.
    """
    pairs = zip(run.samples, sft.samples, strict=True)
    differences = [ours.judge_score - theirs.judge_score for ours, theirs in pairs]
    deviation = statistics.stdev(differences) if len(differences) > 1 else 0.0
    return Z_95 * deviation / run.checkpoints.prompts**0.5


def judge_peak(points: Sequence[CheckpointPoint]) -> CheckpointPoint:
    """The checkpoint with the highest judge score, at equal scores the earliest; the SFT policy where none is above."""
    return max(points, key=lambda point: point.judge_score.mean)


def fall_after_peak(points: Sequence[CheckpointPoint], noise: float) -> CheckpointPoint | None:
    """The first checkpoint after the judge's peak that lies below it by more than noise, with a higher reward score."""
    peak = judge_peak(points)
    for point in points:
        below = point.judge_score.mean < peak.judge_score.mean - noise
        if point.step > peak.step and below and point.reward_score.mean > peak.reward_score.mean:
            return point
    return None


def first_poor(points: Sequence[CheckpointPoint], min_ratio: float) -> CheckpointPoint | None:
    """The first checkpoint with a higher reward score than SFT and a distinct-2 below `min_ratio` times SFT's."""
    sft = points[0]
    for point in points[1:]:
        poor = distinct_ratio(point.distinct_2, sft.distinct_2) < min_ratio
        if poor and point.reward_score.mean > sft.reward_score.mean:
            return point
    return None


def peak_message(run: TrainedPolicy, sft: PolicyReport) -> str | None:
    """Where the judge peaked, if the end of training is lower beyond the paired noise; None where it is not."""
    points, noise = run.checkpoints.points, paired_noise(run, sft)
    peak, last = judge_peak(points), points[-1]
    drop = peak.judge_score.mean - last.judge_score.mean
    if drop <= noise:
        return None
    seen = f"The judge score peaked at {_place(peak)}, before the last step {last.step}"
    if peak.step == 0:
        seen = f"No checkpoint has a higher judge score than SFT; the last is step {last.step}"
    fall = f"There it is lower by {drop:.3f}, more than the paired noise of {noise:.3f}"
    went = f"Step {run.checkpoints.selected_step} goes on (select_checkpoint.select: {run.checkpoints.select})"
    return f"{seen}. {fall}. {went}. Train for fewer steps."


def find_examples(run: TrainedPolicy, sft: PolicyReport) -> list[dict[str, Any]]:
    """Up to three prompts whose judge score fell from SFT, those whose reward score rose most first."""
    pairs = zip(run.samples, sft.samples, strict=True)
    fell = [
        (ours, theirs)
        for ours, theirs in pairs
        if ours.judge_score < theirs.judge_score and ours.reward_score > theirs.reward_score
    ]
    fell.sort(key=lambda pair: (pair[1].reward_score - pair[0].reward_score, pair[0].id))
    return [
        {"id": ours.id, "prompt": ours.prompt, "sft": _scored(theirs), "policy": _scored(ours)}
        for ours, theirs in fell[:MAX_EXAMPLES]
    ]


def _scored(sample: Sample) -> dict[str, Any]:
    return {
        "response": sample.response,
        "judge_score": sample.judge_score,
        "reward_score": sample.reward_score,
    }
