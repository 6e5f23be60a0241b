"""Which checkpoint of a training run goes on: the judge's peak within a KL budget, or the last."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter

from pipeline.data.table_rows import PromptRow
from pipeline.evaluation.diversity import distinct_n
from pipeline.evaluation.policy import Evaluator, ScoredSample
from pipeline.evaluation.statistics import JUDGE_RANGE
from pipeline.models.policy import load_policy
from pipeline.params.evaluation import SelectCheckpoint
from pipeline.results.checkpoints import CheckpointPoint


def last_step(history: Sequence[Mapping[str, float]]) -> int:
    """The step whose weights training ended with: the last one, or, where it stopped early, the best one."""
    return int(history[-1].get("best_step", history[-1]["step"]))


def checkpoint_folders(trained: Path, *, last_step: int, first: Path | None) -> dict[int, Path]:
    """The folder of each step, in the order of training.

    Args:
        trained: the policy at the end of training, with `checkpoints/step-N` inside.
        first: where hybrid starts, which is its step 1; None of other methods.
    """
    steps = {int(path.name.removeprefix("step-")): path for path in sorted(trained.glob("checkpoints/step-*"))}
    return {**({} if first is None else {1: first}), **steps, last_step: trained}


def score_checkpoints(
    evaluator: Evaluator,
    checkpoints: Mapping[int, Path],
    prompts: Sequence[PromptRow],
    on_tokens: Callable[[int, float], None],
    on_step: Callable[[int, dict[str, float]], None],
) -> list[CheckpointPoint]:
    """A point for the SFT policy (step 0) and for each checkpoint, all on the same prompts and random numbers.

    Args:
        on_tokens: called with the tokens of each checkpoint's samples, and the seconds that it took.
        on_step: called with each step and its mean scores.
    """
    sft = evaluator.sample_and_score(evaluator.reference, prompts, title="step 0")
    points = [checkpoint_point(evaluator, sft, step=0)]
    for step, folder in checkpoints.items():
        start = perf_counter()
        policy = load_policy(folder, evaluator.compute, finetuning=None)
        samples = evaluator.sample_and_score(policy, prompts, title=f"step {step}", baseline=sft)
        on_tokens(sum(sample.tokens for sample in samples), perf_counter() - start)
        points.append(checkpoint_point(evaluator, samples, step=step))
        means = {name: getattr(points[-1], name).mean for name in ("judge_score", "reward_score", "kl_interval")}
        on_step(step, means)
    return points


def checkpoint_point(evaluator: Evaluator, samples: Sequence[ScoredSample], *, step: int) -> CheckpointPoint:
    """The point of a checkpoint on the curves: KL from SFT (nats per sequence), reward and judge score, diversity.

    Scores and KL of every prompt, in order, are kept beside their means: two checkpoints are compared prompt by prompt.
    """
    rewards, judged = [one.reward_score for one in samples], [one.judge_score for one in samples]
    nats = [sample.kl_nats for sample in samples]
    kl = evaluator.interval(nats, "checkpoint/kl")
    return CheckpointPoint(
        step=step,
        kl_nats_per_sequence=kl.mean,
        kl_interval=kl,
        reward_score=evaluator.interval(rewards, "checkpoint/reward"),
        judge_score=evaluator.interval(judged, "checkpoint/judge", within=JUDGE_RANGE),
        reward_scores=rewards,
        judge_scores=judged,
        kl_nats=nats,
        distinct_2=distinct_n([sample.response for sample in samples], 2),
    )


def choose_step(points: Sequence[CheckpointPoint], settings: SelectCheckpoint, *, trusted: bool) -> int:
    """The step of the checkpoint that goes on.

    Args:
        points: of `checkpoint_point`, in the order of training; the SFT policy (step 0) is among them and never chosen.
        trusted: whether the judge passed its gate (judge.min_accuracy).

    Returns:
        For `last`, and where the judge is not to be trusted, the last step. For `best` the one with the highest judge
        score among those within `max_kl`, at equal scores the earlier one; where none is within, the one with the
        smallest KL.
    """
    trained = [point for point in points if point.step > 0]
    if settings.select == "last" or not trusted:
        return trained[-1].step
    within = [point for point in trained if point.kl_nats_per_sequence <= settings.max_kl]
    if not within:
        return min(trained, key=lambda point: point.kl_nats_per_sequence).step
    return max(within, key=lambda point: point.judge_score.mean).step
