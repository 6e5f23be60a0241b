"""The typed contents of what is measured along the checkpoints of a run."""

from typing import Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from pipeline.results.document import Count, Document, Interval
from pipeline.results.repair import Repair


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
    kl_nats: list[FiniteFloat]
    """By prompt: log pi - log pi_sft of its response, whose mean is the KL."""
    distinct_2: FiniteFloat


class Checkpoints(Document):
    """The checkpoints of one run, in the order of training."""

    points: list[CheckpointPoint] = Field(min_length=2)
    selected_step: Count
    last_step: Count
    select: Literal["best", "last"]
    max_kl: FiniteFloat
    judge_trusted: bool
    prompts: Count = Field(gt=0)
    repair: Repair | None

    @model_validator(mode="after")
    def _every_prompt_has_its_scores(self) -> Self:
        for point in self.points:
            counts = {len(point.reward_scores), len(point.judge_scores), len(point.kl_nats)}
            if counts != {self.prompts}:
                raise ValueError(f"step {point.step} has scores of {sorted(counts)} prompts, not of {self.prompts}")
        return self
