"""The typed contents of what data preparation says of its sources."""

from pydantic import Field

from pipeline.results.document import Count, Document
from pipeline.results.preferences import VoteSummary


class SourceRows(Document):
    file: str
    md5: str | None
    format: str
    rows: Count
    fates: dict[str, Count]
    unused_columns: list[str] = Field(default_factory=list)
    unused_fields: list[str] = Field(default_factory=list)

    @property
    def unused(self) -> list[str]:
        """Columns, and fields in messages, that nothing read."""
        return [*self.unused_columns, *self.unused_fields]


class DroppedExample(Document):
    file: str
    row: Count
    seen: str = ""
    value: str


class Sources(Document):
    """What data preparation read."""

    chat_format: str
    sources: list[SourceRows]
    examples: dict[str, list[DroppedExample]]
    votes: VoteSummary | None

    @property
    def leaked(self) -> int:
        """Held-out rows that were dropped because they nearly repeat what is learnt from."""
        return sum(source.fates.get("dropped.near_duplicate_across_splits", 0) for source in self.sources)
