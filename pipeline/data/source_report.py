"""What the sources held and what became of it, for people: counts by source, reasons with examples, agreement."""

from collections import Counter
from collections.abc import Mapping
from typing import NotRequired, TypedDict

from pipeline.data.intake import Intake
from pipeline.data.preparation import PreparedData
from pipeline.excerpts import EXAMPLES, shorten
from pipeline.reading.formats import describe_format
from pipeline.reading.leftovers import unused_columns, unused_fields


class UnusedParts(TypedDict):
    """What nothing reads of a source."""

    unused_columns: list[str]
    unused_fields: list[str]
    """Keys inside messages."""


class ReadSource(TypedDict):
    """A source and what became of its rows."""

    file: str
    md5: str | None
    """By which an audit knows it again; None of what is no file."""
    format: str
    """In words."""
    rows: int
    fates: dict[str, int]
    """Rows and entries by what became of them."""
    unused_columns: NotRequired[list[str]]
    unused_fields: NotRequired[list[str]]


class DroppedExample(TypedDict):
    """A row that was dropped, shortened."""

    file: str
    row: int
    seen: str
    value: str


class SourceReport(TypedDict):
    """The document reports/data/sources.json."""

    chat_format: str
    sources: list[ReadSource]
    examples: dict[str, list[DroppedExample]]
    """The first rows of each reason for being dropped."""
    votes: Mapping[str, object] | None
    """What annotators agree on; None where nobody voted."""


def unused_parts(intake: Intake) -> dict[str, UnusedParts]:
    """What nothing reads of each source, by its name; also said on the terminal."""
    found: dict[str, UnusedParts] = {
        source.name: {"unused_columns": unused_columns(source, data), "unused_fields": unused_fields(source, data)}
        for source, data in zip(intake.sources, intake.resolved, strict=True)
    }
    lists = Counter(", ".join([*one["unused_columns"], *one["unused_fields"]]) for one in found.values())
    for names, files in lists.items():
        if names:
            print(f"  unused  {names}{f' ({files} files)' if files > 1 else ''}", flush=True)
    return found


def report_sources(
    prepared: PreparedData,
    intake: Intake,
    *,
    chat_format: str,
    unused: Mapping[str, UnusedParts],
    hashes: Mapping[str, str],
    votes: Mapping[str, object] | None,
) -> SourceReport:
    """The report of prepare_data.

    Args:
        intake: the sources that were read.
        chat_format: how chats were written out.
        unused: of each source, see `unused_parts`.
        hashes: md5 of each source that is a file.
        votes: the agreement of `prepared.votes`; None where nobody voted.
    """
    formats = {source.name: describe_format(data) for source, data in zip(intake.sources, intake.resolved, strict=True)}
    rows = {source.name: len(source.rows) for source in intake.sources}
    return {
        "chat_format": chat_format,
        "sources": [
            {
                "file": name,
                "md5": hashes.get(name),
                "format": formats[name],
                "rows": count,
                "fates": dict(sorted(prepared.rows_of.get(name, {}).items())),
                **unused[name],
            }
            for name, count in rows.items()
        ],
        "examples": _examples(prepared, intake),
        "votes": votes,
    }


def _examples(prepared: PreparedData, intake: Intake) -> dict[str, list[DroppedExample]]:
    rows = {source.name: source.rows for source in intake.sources}
    found: dict[str, list[DroppedExample]] = {}
    for fate in prepared.fates:
        kind, _, reason = fate["fate"].partition(".")
        if kind == "dropped" and len(found.setdefault(reason, [])) < EXAMPLES:
            shown = shorten(str(rows[fate["source"]][fate["row"] - 1]))
            seen = fate.get("seen") or ""
            found[reason].append({"file": fate["source"], "row": fate["row"], "seen": seen, "value": shown})
    return dict(sorted(found.items()))
