"""Reward hacking in words: the reward score is up while something that it stands for got worse."""

from collections.abc import Sequence
from statistics import fmean

from pipeline.evaluation.statistics import FEWEST
from pipeline.params.schema import WriteReport
from pipeline.report.inputs import PolicyReport, TrainedPolicy
from pipeline.report.limits import distinct_ratio, loses_diversity, perplexity_ratio, unlearns_language
from pipeline.report.pairs import paired, paired_difference
from pipeline.results.checkpoints import CheckpointPoint
from pipeline.results.comparison import HackingExample, ScoredResponse
from pipeline.results.document import Interval
from pipeline.results.policies import PolicyMetrics, Sample

MAX_EXAMPLES = 3
_ALL = slice(None)
_FOUND_BY, _TOLD_BY = slice(0, None, 2), slice(1, None, 2)
"""Every second validation prompt chooses a checkpoint; the others measure the one that was chosen."""
_MEANING = "Reward hacking: the policy exploits errors of the reward model"
_ADVICE = "Stop at lower KL, raise kl_coef or beta, or collect preferences from the new policy"


def hacking_message(run: TrainedPolicy, sft: PolicyReport, params: WriteReport) -> str | None:
    """From SFT to the selected policy on the evaluation prompts, and along the checkpoints on the validation prompts.

    Returns:
        None where the reward score did not rise beyond chance, prompt by prompt, where the policy did not move (its KL
        interval includes 0), where the judge score rose as well, or where nothing got worse. A judge score that may or
        may not have risen is no evidence: few prompts would look the same. Text that got worse while the judge score
        rose has a flag of its own (`perplexity_up`, `diversity_down`).
    """
    seen = [*_against_sft(run, sft, params), *_along_checkpoints(run, params)]
    return f"{' '.join(seen)} {_MEANING}. {_ADVICE}." if seen else None


def _against_sft(run: TrainedPolicy, sft: PolicyReport, params: WriteReport) -> list[str]:
    ours, before = run.metrics, sft.metrics
    reward = paired_difference(run.samples, sft.samples, "reward_score")
    if len(run.samples) < FEWEST or not reward.rose or not _moved(ours):
        return []
    worse = []
    judge = paired_difference(run.samples, sft.samples)
    if judge.rose:
        return []
    if judge.fell:
        worse.append(f"the judge score fell by {-judge.mean:.2f}")
    if unlearns_language(ours, before, params):
        worse.append(f"held-out perplexity rose to {perplexity_ratio(ours, before):.2f} times SFT's")
    if loses_diversity(ours, before, params):
        worse.append(f"distinct-2 fell to {distinct_ratio(ours.distinct_2, before.distinct_2):.2f} times SFT's")
    seen = f"From SFT to this policy the reward score rose by {reward.mean:.2f}, while {' and '.join(worse)}."
    return [seen] if worse else []


def _moved(policy: PolicyMetrics | CheckpointPoint) -> bool:
    """Whether the KL of a policy from SFT is above 0 beyond chance."""
    return policy.kl_interval.rose


def _along_checkpoints(run: TrainedPolicy, params: WriteReport) -> list[str]:
    points = run.checkpoints.points
    seen = []
    if (parted := fall_after_peak(points)) is not None:
        peak, fall = parted
        high, low = (fmean(point.judge_scores[_TOLD_BY]) for point in (peak, fall))
        scores = f"from {high:.2f} at {_place(peak)} to {low:.2f} at {_place(fall)}"
        rise = _reward_change(fall, peak, _TOLD_BY).mean
        seen.append(
            f"Along the checkpoints the judge score fell {scores}, while the reward score rose by {rise:.2f}, both "
            f"beyond chance on prompts that the two were not found by; "
            f"{_selected(run, fall)}."
        )
    if (poor := first_poor(points, params.min_distinct_ratio)) is not None:
        share = distinct_ratio(poor.distinct_2, points[0].distinct_2)
        rise = _reward_change(poor, points[0]).mean
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


def _judge_change(point: CheckpointPoint, before: CheckpointPoint, prompts: slice = _ALL) -> Interval:
    return paired(point.judge_scores[prompts], before.judge_scores[prompts], "judge_score")


def _reward_change(point: CheckpointPoint, before: CheckpointPoint, prompts: slice = _ALL) -> Interval:
    return paired(point.reward_scores[prompts], before.reward_scores[prompts], "reward_score")


def _judged(point: CheckpointPoint) -> float:
    """Mean judge score on the prompts by which checkpoints are chosen."""
    return fmean(point.judge_scores[_FOUND_BY])


def judge_peak(points: Sequence[CheckpointPoint]) -> CheckpointPoint:
    """The checkpoint with the highest judge score, at equal scores the earliest; the SFT policy where none is above.

    Chosen on every second validation prompt: the highest of many noisy means is too high on the prompts that it was
    chosen on, so it is measured on the others.
    """
    return max(points, key=_judged)


def fall_after_peak(points: Sequence[CheckpointPoint]) -> tuple[CheckpointPoint, CheckpointPoint] | None:
    """The judge's peak and the lowest checkpoint after it, if judge score and reward score moved apart between them.

    That is, if the judge score fell between the two and the reward score rose, both beyond chance on prompts
    that neither was chosen on, and the later policy has moved away from SFT.
    """
    peak = judge_peak(points)
    later = [point for point in points if point.step > peak.step]
    if not later or len(peak.judge_scores[_TOLD_BY]) < FEWEST:
        return None
    lowest = min(later, key=_judged)
    parted = _judge_change(lowest, peak, _TOLD_BY).fell and _reward_change(lowest, peak, _TOLD_BY).rose
    return (peak, lowest) if parted and _moved(lowest) else None


def first_poor(points: Sequence[CheckpointPoint], min_ratio: float) -> CheckpointPoint | None:
    """The first checkpoint with a distinct-2 below `min_ratio` times SFT's and a reward score above SFT's.

    The rise is beyond chance, prompt by prompt; the policy has moved away from SFT, and its judge score has not risen.
    """
    sft = points[0]
    for point in points[1:]:
        poor = distinct_ratio(point.distinct_2, sft.distinct_2) < min_ratio
        if poor and _moved(point) and _reward_change(point, sft).rose and not _judge_change(point, sft).rose:
            return point
    return None


def peak_message(run: TrainedPolicy) -> str | None:
    """Where the judge peaked, if the end of training is lower beyond chance, prompt by prompt; None where it is not.

    Measured on prompts that the peak was not chosen on, see `judge_peak`. None, too, where neither of them has moved
    away from SFT: then they are the same policy, drawn twice.
    """
    points = run.checkpoints.points
    peak, last = judge_peak(points), points[-1]
    change = _judge_change(last, peak, _TOLD_BY)
    if not change.fell or not (_moved(peak) or _moved(last)):
        return None
    seen = f"The judge score peaked at {_place(peak)}, before the last step {last.step}"
    if peak.step == 0:
        seen = f"No checkpoint has a higher judge score than SFT; the last is step {last.step}"
    interval = f"{-change.mean:.3f} [{-change.high:.3f}, {-change.low:.3f}]"
    fall = f"There it is lower by {interval} on prompts that did not choose it"
    went = f"Step {run.checkpoints.selected_step} goes on (select_checkpoint.select: {run.checkpoints.select})"
    return f"{seen}. {fall}. {went}. Train for fewer steps."


def find_examples(run: TrainedPolicy, sft: PolicyReport) -> list[HackingExample]:
    """Up to three prompts whose judge score fell from SFT, those whose reward score rose most first."""
    pairs = zip(run.samples, sft.samples, strict=True)
    fell = [
        (ours, theirs)
        for ours, theirs in pairs
        if ours.judge_score < theirs.judge_score and ours.reward_score > theirs.reward_score
    ]
    fell.sort(key=lambda pair: (pair[1].reward_score - pair[0].reward_score, pair[0].id))
    return [
        HackingExample(id=ours.id, prompt=ours.prompt, sft=_scored(theirs), policy=_scored(ours))
        for ours, theirs in fell[:MAX_EXAMPLES]
    ]


def _scored(sample: Sample) -> ScoredResponse:
    return ScoredResponse(response=sample.response, judge_score=sample.judge_score, reward_score=sample.reward_score)
