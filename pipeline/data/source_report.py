"""What the sources held and what became of it, for people: counts by source, reasons with examples, agreement."""

from collections import Counter
from collections.abc import Mapping

from pipeline.data.fates import dropped_reason, raw_rows_of
from pipeline.data.intake import Intake
from pipeline.data.preparation import PreparedData
from pipeline.excerpts import EXAMPLES, shorten
from pipeline.reading.formats import describe_format
from pipeline.reading.leftovers import unused_columns, unused_fields
from pipeline.results.preferences import VoteSummary
from pipeline.results.sources import DroppedExample, SourceRows, Sources, UnusedParts


def unused_parts(intake: Intake) -> dict[str, UnusedParts]:
    """The columns and fields of each source that nothing reads, by its name; they are also printed."""
    unused = {
        source.name: UnusedParts(unused_columns=unused_columns(source, data), unused_fields=unused_fields(source, data))
        for source, data in zip(intake.sources, intake.resolved, strict=True)
    }
    lists = Counter(", ".join(parts.unused) for parts in unused.values())
    for names, files in lists.items():
        if names:
            print(f"  unused  {names}{f' ({files} files)' if files > 1 else ''}", flush=True)
    return unused


def report_sources(
    prepared: PreparedData,
    intake: Intake,
    *,
    chat_format: str,
    unused: Mapping[str, UnusedParts],
    hashes: Mapping[str, str],
    votes: VoteSummary | None,
) -> Sources:
    """The report of prepare_data.

    Args:
        intake: the sources that were read.
        chat_format: the name of the style in which chats were written out.
        unused: the parts of each source that nothing reads, see `unused_parts`.
        hashes: the md5 of each source that is a file.
        votes: the agreement of `prepared.votes`; None where nobody voted.
    """
    formats = {source.name: describe_format(data) for source, data in zip(intake.sources, intake.resolved, strict=True)}
    rows = {source.name: len(source.rows) for source in intake.sources}
    sources = [
        SourceRows(
            file=name,
            md5=hashes.get(name),
            format=formats[name],
            rows=count,
            fates=dict(sorted(prepared.rows_of.get(name, {}).items())),
            **unused[name].as_fields(),
        )
        for name, count in rows.items()
    ]
    return Sources(chat_format=chat_format, sources=sources, examples=_examples(prepared, intake), votes=votes)


def _examples(prepared: PreparedData, intake: Intake) -> dict[str, list[DroppedExample]]:
    raw_row = raw_rows_of(intake.sources)
    examples: dict[str, list[DroppedExample]] = {}
    for fate in prepared.fates:
        reason = dropped_reason(fate)
        if reason is not None and len(examples.setdefault(reason, [])) < EXAMPLES:
            shown = shorten(str(raw_row(fate)))
            seen = fate.get("seen") or ""
            examples[reason].append(DroppedExample(file=fate["source"], row=fate["row"], seen=seen, value=shown))
    return dict(sorted(examples.items()))
