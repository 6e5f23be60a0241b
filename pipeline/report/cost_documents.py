"""One typed entry of reports/costs.json, which the run sheet reads and no output of a stage depends on."""

from pydantic import Field, FiniteFloat

from pipeline.report.documents import Document


class StageCost(Document):
    """What one execution of a stage took on the machine that ran it."""

    outs: dict[str, str] = Field(default_factory=dict)
    """DVC's hashes of what it wrote, by path."""
    seconds: FiniteFloat
    peak_memory_mib: FiniteFloat | None = None
    tokens_per_second: FiniteFloat | None = None
    device: str | None = None
