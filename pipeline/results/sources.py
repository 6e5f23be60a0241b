"""The typed contents of what data preparation says of its sources."""

from pipeline.results.document import Count, Document
from pipeline.results.preferences import VoteSummary


class UnusedParts(Document):
    """What nothing reads of a source."""

    unused_columns: list[str]
    unused_fields: list[str]
    """Keys inside messages."""

    @property
    def unused(self) -> list[str]:
        """Columns, and fields in messages, that nothing read."""
        return [*self.unused_columns, *self.unused_fields]


class SourceRows(UnusedParts):
    """A source and what became of its rows."""

    file: str
    md5: str | None
    """By which an audit knows it again; None of what is no file."""
    format: str
    """In words."""
    rows: Count
    fates: dict[str, Count]
    """Rows and entries by what became of them."""


class DroppedExample(Document):
    """A row that was dropped, shortened."""

    file: str
    row: Count
    seen: str
    value: str


class Sources(Document):
    """What data preparation read."""

    chat_format: str
    sources: list[SourceRows]
    examples: dict[str, list[DroppedExample]]
    """The first rows of each reason for being dropped."""
    votes: VoteSummary | None
    """What annotators agree on; None where nobody voted."""

    @property
    def leaked(self) -> int:
        """Held-out rows that were dropped because they nearly repeat what is learnt from."""
        return sum(source.fates.get("dropped.near_duplicate_across_splits", 0) for source in self.sources)
