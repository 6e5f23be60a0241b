"""prepare_data: raw rows to SFT texts, prompts and judge labels in prompt-disjoint splits."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.data.intake import Intake, open_sources, read_sources
from pipeline.data.leakage import advise_of_leaks
from pipeline.data.preparation import PreparedData
from pipeline.data.records import write_records
from pipeline.data.source_report import report_sources
from pipeline.data.table_writing import Table, write_tables
from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.models.text_format import TextFormat
from pipeline.params.data import Data
from pipeline.processes import usable_cores
from pipeline.project.hashing import content_hash
from pipeline.reading.formats import describe_format
from pipeline.reading.leftovers import unused_columns, unused_fields
from pipeline.reading.reasons import advise_reason
from pipeline.reading.sources import Source
from pipeline.reading.styles import Style
from pipeline.stage.run import Stage, run_stage

_SHOWN = 200
"""Characters of a row in an error."""


def main(stage: Stage) -> None:
    """Read, split, count, write."""
    settings = stage.params.data
    intake = open_sources(settings)
    sources, resolved = intake.sources, intake.resolved
    warn_of_missing_categories(settings, resolved)
    for found, files in Counter(map(describe_format, resolved)).items():
        print(f"  format  {found}{f' ({files} files)' if files > 1 else ''}", flush=True)
    unused = _report_unused(intake)
    policy, scratch = stage.input("artifacts/models/policy"), stage.output("artifacts/data").parent
    prepared, style = read_sources(intake, policy, seed=stage.params.seed, scratch=scratch, processes=usable_cores())
    assert prepared.noted_rows == intake.rows, "every raw row has a fate"
    _warn_of_glued_pairs(prepared)
    warn_of_lost_categories(prepared.lost_categories)
    if not style.written:
        style = Style()  # no chat was among the texts
    print(f"  chats   {style.name}", flush=True)
    _write(stage, prepared, sources, style)
    counts = {"rows": intake.rows, "entries": len(prepared.fates), **dict(sorted(prepared.counts.items()))}
    stage.write_json("reports/data/metrics.json", counts)
    rows: dict[str, Any] = {source.name: source.rows for source in sources}
    formats = {source.name: describe_format(data) for source, data in zip(sources, resolved, strict=True)}
    hashes = {source.name: content_hash(source.path) for source in sources if source.path is not None}
    report = report_sources(prepared, formats, rows, chat_format=style.name, unused=unused, hashes=hashes)
    stage.write_json("reports/data/sources.json", report)
    stage.log_final(counts)
    _check(prepared, sources, settings)


def _report_unused(intake: Intake) -> dict[str, dict[str, list[str]]]:
    """What nothing reads of each source, also said on the terminal."""
    found = {}
    for source, data in zip(intake.sources, intake.resolved, strict=True):
        found[source.name] = {
            "unused_columns": unused_columns(source, data),
            "unused_fields": unused_fields(source, data),
        }
    lists = Counter(", ".join([*one["unused_columns"], *one["unused_fields"]]) for one in found.values())
    for names, files in lists.items():
        if names:
            print(f"  unused  {names}{f' ({files} files)' if files > 1 else ''}", flush=True)
    return found


def warn_of_missing_categories(settings: Data, resolved: Sequence[Data]) -> None:
    """Say where data.columns.category is in no source: rows then have the category that they would have without it."""
    if settings.columns.category is not None and not any(data.columns.category for data in resolved):
        print(
            f"warning: no source has a column {settings.columns.category!r} (data.columns.category) that says the "
            "kind of prompt; nothing is broken down by it.",
            flush=True,
        )


def _warn_of_glued_pairs(prepared: PreparedData) -> None:
    if prepared.glued_pairs:
        print(
            f"warning: in {prepared.glued_pairs} of {len(prepared.pairs)} pairs the response begins right behind the "
            'last letter of the prompt; data.separator, such as "\\n", comes between them.',
            flush=True,
        )


def warn_of_lost_categories(categories: Sequence[str]) -> None:
    """Say which kinds of prompts are trained on and have no held-out row left, because rows of theirs were leaks."""
    if categories:
        print(
            f"warning: no held-out row is left of {', '.join(categories)} (data.columns.category): rows were dropped "
            "that nearly repeat what is learnt from. Raise data.leakage.threshold, up to 1, where they are new all the "
            "same.",
            flush=True,
        )


def _write(stage: Stage, prepared: PreparedData, sources: Sequence[Source], style: Style) -> None:
    folder = stage.output("artifacts/data")
    kinds = {"labels": prepared.labels, "texts": prepared.texts, "prompts": prepared.prompts}
    tables = [
        Table(folder / kind / f"{split}.jsonl", rows, kind) for kind, of in kinds.items() for split, rows in of.items()
    ]
    write_tables([*tables, Table(folder / "pairs.jsonl", prepared.pairs, "pairs")], processes=usable_cores())
    write_records(folder / "fates.jsonl", prepared.fates)
    write_records(folder / "quarantine.jsonl", _quarantined(prepared, sources))
    TextFormat(style.name, style.template_hash, end_of_turn=style.end_of_turn).write(folder / "text_format.json")


def _check(prepared: PreparedData, sources: Sequence[Source], settings: Data) -> None:
    """Stop where too much was dropped, or a use has nothing."""
    dropped = {fate: count for fate, count in sorted(prepared.counts.items()) if fate.startswith("dropped.")}
    share = sum(dropped.values()) / len(prepared.fates)
    if share > settings.max_dropped_share:
        first = _first_dropped(prepared, sources)
        raise PipelineError(
            f"{share:.1%} of the rows of data.source are dropped ({dropped}, first: {first}). "
            f"Mend the data, or raise data.max_dropped_share (now {settings.max_dropped_share:g})."
        )
    for split, records in prepared.prompts.items():
        if not records:
            advice = advise_of_leaks(prepared.counts, split)
            raise PipelineError(
                f"data.source: no prompts for {split} ({dict(sorted(prepared.counts.items()))}). Add rows, or give the "
                f"split a larger share (data.splits.{split}).{advice}"
            )


def _first_dropped(prepared: PreparedData, sources: Sequence[Source]) -> str:
    first = next(fate for fate in prepared.fates if fate["fate"].startswith("dropped."))
    rows = {source.name: source.rows for source in sources}[first["source"]]
    shown = shorten(str(rows[first["row"] - 1]), _SHOWN)
    reason, seen = first["fate"].removeprefix("dropped."), first.get("seen")
    said = f"{reason}, which has {seen}" if seen else reason
    return f"row {first['row']} of {first['source']}, {said}: {shown}. What to do: {advise_reason(reason)}"


def _quarantined(prepared: PreparedData, sources: Sequence[Source]) -> Iterator[dict[str, Any]]:
    """Every dropped row, as its source has it."""
    rows = {source.name: source.rows for source in sources}
    for fate in prepared.fates:
        if fate["fate"].startswith("dropped."):
            value = json.loads(json.dumps(rows[fate["source"]][fate["row"] - 1], default=str))
            yield {"seen": None, **fate, "fate": fate["fate"].removeprefix("dropped."), "value": value}


if __name__ == "__main__":
    run_stage(main, description=__doc__)
