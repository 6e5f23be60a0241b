"""The typed contents of what fit_judge measured of the judges."""

from pydantic import FiniteFloat

from pipeline.results.document import Count, Document, Interval, VerdictCounts


class HeldOutAccuracy(Document):
    """How often a judge is right about texts with human labels that it was not fitted on."""

    held_out_accuracy: Interval
    """Accuracy on texts with a usable verdict, a tie counting half; 0.5 within [0, 1] without any."""
    majority_share: FiniteFloat
    """What always saying the more frequent label reaches; 0.5 of pairs, where one text is the liked one."""
    texts: Count
    verdicts: VerdictCounts | None = None
    """How it came to them, of one that keeps count."""


class SharedErrors(Document):
    """How far two judges are wrong about the same texts; None where there is nothing to compare."""

    agreement: FiniteFloat | None
    """Share of texts on which both say the same."""
    shared_error_share: FiniteFloat | None
    """Share of the errors of the judge that measures that the other one makes, too."""
    expected_shared_error_share: FiniteFloat | None
    """The shared share if the errors of both were independent: the other judge's share of errors."""


class MeasuredJudge(HeldOutAccuracy):
    """A judge and what it is worth."""

    kind: str
    family: str
    fitted_on: str
    problem: str | None
    """Why it is not trusted."""


class OtherJudge(MeasuredJudge, SharedErrors):
    """A judge beside the one that measures, on the same texts."""

    first_accuracy: Interval | None = None
    """Accuracy of the judge beside it, on the texts that this one was measured on."""


class JudgeMetrics(MeasuredJudge):
    """The judge that ranked pairs, and those that measure policies."""

    evaluation: OtherJudge | None = None
    """Where policies are measured by another than the one that ranked, which it is compared with."""
    second: OtherJudge | None
    """The second judge, of another family, compared with the one that measures."""

    @property
    def measuring(self) -> MeasuredJudge:
        """The judge whose scores are the judge score."""
        return self.evaluation or self


class JudgeGate(Document):
    """Whether the judge that measures policies has no problem."""

    trusted: bool
