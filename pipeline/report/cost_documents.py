"""One typed entry of reports/costs.json, which the run sheet reads and no output of a stage depends on."""

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat


class StageCost(BaseModel):
    """What one execution of a stage took on the machine that ran it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    outs: dict[str, str] = Field(default_factory=dict)
    """DVC's hashes of what it wrote, by path."""
    seconds: FiniteFloat
    peak_memory_mib: FiniteFloat | None = None
    tokens_per_second: FiniteFloat | None = None
    device: str | None = None
