"""The typed contents of what fit_judge measured of the judges."""

from pydantic import FiniteFloat

from pipeline.results.document import Count, Document, Interval


class MeasuredJudge(Document):
    """A judge on texts with human labels that it was not fitted on."""

    kind: str
    family: str
    fitted_on: str
    held_out_accuracy: Interval
    majority_share: FiniteFloat
    texts: Count
    problem: str | None
    """Why it is not trusted."""
    verdicts: dict[str, Count] | None = None
    """How it came to them, of one that keeps count."""


class OtherJudge(MeasuredJudge):
    """The judge that measures beside another one, on the same texts; None where there is nothing to compare."""

    first_accuracy: Interval | None = None
    """Of the judge beside it, on what this one was measured on."""
    agreement: FiniteFloat | None
    shared_error_share: FiniteFloat | None
    """Share of the errors of the judge that measures that the other one makes, too."""
    expected_shared_error_share: FiniteFloat | None
    """The same if the errors of both had nothing to do with each other."""


class JudgeMetrics(MeasuredJudge):
    """The judge that ranked pairs, and those that measure policies."""

    evaluation: OtherJudge | None = None
    """Where policies are measured by another than the one that ranked, which it is compared with."""
    second: OtherJudge | None = None
    """Of another family, compared with the one that measures."""

    @property
    def measuring(self) -> MeasuredJudge:
        """The judge whose scores are the judge score."""
        return self.evaluation or self
