"""The sections of params.yaml of the stages that measure: reward models, checkpoints and policies."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.params.base import ModelSource, NonNegativeFloat, PositiveFloat, PositiveInt, Section, Share


class CandidateModel(ModelSource):
    """A finished reward model; its name is that of a folder."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]


class EvaluateReward(Section):
    batch_size: PositiveInt
    calibration_bins: PositiveInt
    margin_bins: PositiveInt
    length_matched_ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)]
    near_tie_margin: PositiveFloat
    robustness_pairs: PositiveInt
    max_score_deviation: NonNegativeFloat
    candidates: list[CandidateModel]
    use: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_known_and_told_apart(self) -> Self:
        # folders of names that differ in case alone are one folder on some disks
        names = [candidate.name.casefold() for candidate in self.candidates]
        if reserved := {"own", "best"} & set(names):
            raise ValueError(f"a candidate is named {', '.join(sorted(reserved))}, which has a meaning; rename it")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"candidates are named {', '.join(twice)} twice; give each a name of its own")
        known = ["own", "best", *(candidate.name for candidate in self.candidates)]
        if self.use not in known:
            raise ValueError(f"use is {self.use!r}; it takes one of {', '.join(known)}")
        return self


class Scoring(Section):
    """What every stage has that samples and scores policies."""

    batch_size: PositiveInt


class Measuring(Scoring):
    """What those have, too, that report means with bootstrap intervals."""

    bootstrap_resamples: PositiveInt


class FindRegressions(Scoring):
    max_drop: Share
    confidence: Annotated[float, Field(ge=0, lt=1)]
    prompts_per_category: PositiveInt


class SelectCheckpoint(Measuring):
    select: Literal["best", "last"]
    max_kl: PositiveFloat
    prompts: PositiveInt


class EvaluatePolicy(Measuring):
    best_of_n: Annotated[list[PositiveInt], Field(min_length=1)]

    @model_validator(mode="after")
    def _starts_at_one(self) -> Self:
        if self.best_of_n != sorted(set(self.best_of_n)) or self.best_of_n[0] != 1:
            raise ValueError(f"best_of_n must rise from 1 without repeats, got {self.best_of_n}")
        return self
