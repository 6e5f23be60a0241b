"""What the sources held and what became of it, for people: counts by source, reasons with examples, agreement."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.data.agreement import summarise_votes
from pipeline.data.preparation import PreparedData
from pipeline.excerpts import EXAMPLES, shorten


def report_sources(
    prepared: PreparedData,
    formats: Mapping[str, str],
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    chat_format: str,
    unused: Mapping[str, Mapping[str, list[str]]],
    hashes: Mapping[str, str],
) -> dict[str, Any]:
    """The report of prepare_data.

    Args:
        formats: of each source, in words.
        rows: of each source, as they are.
        unused: of each source, `unused_columns` and `unused_fields`: what nothing reads.
        hashes: md5 of each source that is a file, by which an audit knows it again.

    Returns:
        `sources` (file, its md5, format, rows, fates and what is unused of each), `chat_format`, `examples` (reason to
        a few rows, shortened) and `votes` (None where nobody voted).
    """
    return {
        "chat_format": chat_format,
        "sources": [
            {
                "file": name,
                "md5": hashes.get(name),
                "format": formats[name],
                "rows": len(rows[name]),
                "fates": dict(sorted(prepared.rows_of.get(name, {}).items())),
                **unused.get(name, {}),
            }
            for name in rows
        ],
        "examples": _examples(prepared, rows),
        "votes": summarise_votes(prepared.votes) if prepared.votes else None,
    }


def _examples(
    prepared: PreparedData, rows: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, list[dict[str, Any]]]:
    """The first rows of each reason for being dropped."""
    found: dict[str, list[dict[str, Any]]] = {}
    for fate in prepared.fates:
        kind, _, reason = fate["fate"].partition(".")
        if kind == "dropped" and len(found.setdefault(reason, [])) < EXAMPLES:
            shown = str(rows[fate["source"]][fate["row"] - 1])
            place = {"file": fate["source"], "row": fate["row"]}
            found[reason].append({**place, "seen": fate.get("seen", ""), "value": shorten(shown)})
    return dict(sorted(found.items()))
