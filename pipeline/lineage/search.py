"""Raw rows, texts, pairs and samples by what they say."""

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
    """The first hits, raw rows first, and the number of all of them by source and file; files are read row by row."""
    counts: Counter[str] = Counter()
    found: list[Finding] = []
    needle = Needle(text)
    for source, number, shown in raw.containing(text):
        counts[source] += 1
        if len(found) < limit:
            found.append(Finding(source, _excerpt(shown, text), None, number))
    found = _with_fates(found, lock, contents)
    for path, lines in _files(lock, contents):
        for line in filter(needle.may_be_in, lines):
            row = json.loads(line)
            shown = row_text({key: value for key, value in row.items() if key not in _IDS})
            if needle.is_in(shown):
                counts[path] += 1
                if len(found) < limit:
                    found.append(Finding(path, _excerpt(shown, text), row.get("id")))
    return found, counts


def _files(lock: Lock, contents: Contents) -> Iterator[tuple[str, Iterable[str]]]:
    for stage in lock.stages.values():
        for output in stage.outputs:
            for path, md5 in (contents.files(output) or {}).items():
                if path.startswith(_SEARCHED) and path.endswith(".jsonl") and not path.endswith(_SKIPPED):
                    yield path, contents.lines(path, md5) or ()


def _with_fates(found: list[Finding], lock: Lock, contents: Contents) -> list[Finding]:
    """The raw rows with the id and fate that prepare_data gave them."""
    wanted = {(hit.path, hit.row) for hit in found}
    known = {
        (fate["source"], fate["row"]): fate
        for fate in (read_fates(lock, contents) if wanted else ())
        if (fate["source"], fate["row"]) in wanted
    }
    return [
        Finding(hit.path, hit.text, fate.get("id"), hit.row, fate.get("fate"))
        for hit in found
        for fate in [known.get((hit.path, hit.row), {})]
    ]


def _excerpt(shown: str, text: str) -> str:
    """The part of a long text that has the hit in it."""
    start = shown.casefold().find(text.casefold())
    if start <= _AROUND:
        return shown
    return f"… {shown[start - _AROUND : start + len(text) + _AROUND]}"
