"""The typed contents of what is measured along the checkpoints of a run."""

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from pipeline.results.document import Count, Document, Interval


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


class FoundDifference(Document):
    """A mean difference; without ends where so few prompts show nothing."""

    mean: FiniteFloat
    low: FiniteFloat | None
    high: FiniteFloat | None


class FoundCategory(Document):
    """A category on training prompts; `difference` is the judge score of hybrid's start minus SFT's.

    What hybrid made of it is told on other prompts, see `repair.verify`.
    """

    category: str
    prompts: Count
    sft: FiniteFloat
    before: FiniteFloat
    """Judge score of hybrid's start."""
    difference: FoundDifference
    regressed: bool
    """It was trained on; others are only checked."""


class Repair(Document):
    """What hybrid was to repair: categories that fell beyond chance, and by more than `threshold`."""

    threshold: FiniteFloat
    confidence: Annotated[float, Field(ge=0, lt=1)]
    categories: list[FoundCategory]
    prompts_trained: Count


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
