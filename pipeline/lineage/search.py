"""Searches raw rows, texts, pairs and samples for a text."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.lineage.contents import Contents
from pipeline.lineage.fates import read_fates
from pipeline.lineage.needle import Needle
from pipeline.lineage.raw import RawSources, row_text
from pipeline.project.lockfile import Lock

_SEARCHED = ("artifacts/data/", "artifacts/preferences/", "reports/policies/")
_SKIPPED = ("fates.jsonl", "verdicts.jsonl")
_IDS = ("id", "prompt_id")
_AROUND = 120
"""Characters shown before and behind a hit."""


@dataclass(frozen=True)
class Finding:
    """A row with the text in it."""

    path: str
    text: str
    id: str | None
    row: int | None = None
    """Number of a raw row, from 1."""
    fate: str | None = None
    """What prepare_data did with a raw row."""


def find_text(
    text: str, lock: Lock, contents: Contents, raw: RawSources, *, limit: int
) -> tuple[list[Finding], Counter[str]]:
    """The first `limit` hits, raw rows before others, and the number of all hits by source and file."""
    counts: Counter[str] = Counter()
    hits: list[Finding] = []
    needle = Needle(text)
    for source, number, shown in raw.containing(text):
        counts[source] += 1
        if len(hits) < limit:
            hits.append(Finding(source, _excerpt(shown, text), None, number))
    hits = _with_fates(hits, lock, contents)
    for path, lines in _files(lock, contents):
        for line in filter(needle.may_be_in, lines):
            row = json.loads(line)
            shown = row_text({key: value for key, value in row.items() if key not in _IDS})
            if needle.is_in(shown):
                counts[path] += 1
                if len(hits) < limit:
                    hits.append(Finding(path, _excerpt(shown, text), row.get("id")))
    return hits, counts


def _files(lock: Lock, contents: Contents) -> Iterator[tuple[str, Iterable[str]]]:
    for stage in lock.stages.values():
        for output in stage.outputs:
            for path, md5 in (contents.files(output) or {}).items():
                if path.startswith(_SEARCHED) and path.endswith(".jsonl") and not path.endswith(_SKIPPED):
                    yield path, contents.lines(path, md5) or ()


def _with_fates(hits: list[Finding], lock: Lock, contents: Contents) -> list[Finding]:
    """Hits in raw rows, with the id and the fate that prepare_data gave to each row."""
    wanted = {(hit.path, hit.row) for hit in hits}
    known = {
        (fate["source"], fate["row"]): fate
        for fate in (read_fates(lock, contents) if wanted else ())
        if (fate["source"], fate["row"]) in wanted
    }
    return [
        Finding(hit.path, hit.text, fate.get("id"), hit.row, fate.get("fate"))
        for hit in hits
        for fate in [known.get((hit.path, hit.row), {})]
    ]


def _excerpt(shown: str, text: str) -> str:
    """The part of a long text around the hit."""
    start = shown.casefold().find(text.casefold())
    if start <= _AROUND:
        return shown
    return f"… {shown[start - _AROUND : start + len(text) + _AROUND]}"
