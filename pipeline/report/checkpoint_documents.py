"""The typed contents of the files about trained policies and the checkpoints on their way."""

from typing import Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from pipeline.report.documents import Count, Document, Interval, PolicyMetrics


class LastCheckpoint(Document):
    """The end of training on the evaluation prompts, where another checkpoint was selected."""

    judge_score: Interval
    reward_score: Interval
    kl_nats_per_sequence: FiniteFloat


class TrainedMetrics(PolicyMetrics):
    """The selected checkpoint on the evaluation prompts; `last` is None where it is the last one."""

    selected_step: Count
    last_step: Count
    last: LastCheckpoint | None


class CheckpointPoint(Document):
    """A checkpoint on the validation prompts; step 0 is the SFT policy."""

    step: Count
    kl_nats_per_sequence: FiniteFloat
    kl_interval: Interval
    reward_score: Interval
    judge_score: Interval
    reward_scores: list[FiniteFloat]
    judge_scores: list[FiniteFloat]
    """By prompt, as `reward_scores`, in the same order at every checkpoint."""
    distinct_2: FiniteFloat


class RepairedCategory(Document):
    """Mean judge scores on the prompts of a category: SFT, the policy that was repaired, and the repaired one."""

    category: str
    prompts: Count
    sft: FiniteFloat
    before: FiniteFloat
    after: FiniteFloat
    repaired: bool
    """It had regressed and was trained on; others are only checked."""


class Repair(Document):
    """What hybrid did: `threshold` is the fall of the judge score from which a category has regressed."""

    threshold: FiniteFloat
    categories: list[RepairedCategory]
    prompts_trained: Count


class Checkpoints(Document):
    """The checkpoints of one run, in the order of training."""

    points: list[CheckpointPoint] = Field(min_length=2)
    selected_step: Count
    last_step: Count
    select: Literal["best", "last"]
    max_kl: FiniteFloat
    prompts: Count = Field(gt=0)
    repair: Repair | None

    @model_validator(mode="after")
    def _every_prompt_has_its_scores(self) -> Self:
        for point in self.points:
            counts = {len(point.reward_scores), len(point.judge_scores)}
            if counts != {self.prompts}:
                raise ValueError(f"step {point.step} has scores of {sorted(counts)} prompts, not of {self.prompts}")
        return self
