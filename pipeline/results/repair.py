"""The typed contents of what hybrid repairs: categories that its start made worse, and what became of them."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from pipeline.results.document import Count, Document

Outcome = Literal["better", "worse", "no clear change", "too few prompts"]


class Difference(Document):
    """A mean difference of judge scores; the ends of its interval are None where so few prompts show nothing."""

    mean: FiniteFloat
    low: FiniteFloat | None
    high: FiniteFloat | None


class CategoryDifference(Difference):
    """Of two policies on the same prompts of a category."""

    prompts: Count


class CheckedCategory(Document):
    """A category on training prompts; `difference` is the judge score of hybrid's start minus SFT's.

    What hybrid made of it is told on other prompts, see `VerifiedCategory`.
    """

    category: str
    prompts: Count
    sft: FiniteFloat
    before: FiniteFloat
    """Judge score of hybrid's start."""
    difference: Difference
    regressed: bool
    """It was trained on; others are only checked."""


class Repair(Document):
    """What hybrid was to repair: categories that fell beyond chance, and by more than `threshold`."""

    threshold: FiniteFloat
    confidence: Annotated[float, Field(ge=0, lt=1)]
    categories: list[CheckedCategory]
    prompts_trained: Count


class VerifiedCategory(Document):
    """One category on the evaluation prompts, differences of the judge score; None without a prompt of it."""

    category: str
    trained_on: bool
    """It had regressed; the others are only checked."""
    prompts: Count
    start_minus_sft: CategoryDifference | None
    hybrid_minus_start: CategoryDifference | None
    hybrid_minus_sft: CategoryDifference | None
    outcome: Outcome
    """What became of it under hybrid, against the policy that hybrid started from."""
