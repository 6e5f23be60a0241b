"""Follows raw rows, pairs, samples and prompts, by their ids, through the files and models of a run."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.data.records import JsonObject
from pipeline.errors import PipelineError
from pipeline.lineage.contents import Contents
from pipeline.lineage.fates import FATES, read_fates
from pipeline.lineage.raw import RawSources, row_text
from pipeline.lineage.roles import hands_on, is_checkpoint, measured_files, originals, subjects, trained_files
from pipeline.project.lockfile import Lock, StageRecord

_TEXTS = ("prompt", "text", "response", "chosen", "rejected")
_FEW = 16
"""Up to so many ids it is faster to search a line of JSON for them than to parse it."""
TRAINED, MEASURED, DERIVED = "trained on", "measured on", "downstream of"


@dataclass
class Origin:
    """The raw row that is a record, or from which it was made."""

    source: str
    row: int
    fate: str
    text: str | None = None
    seen: str | None = None
    """What in the row caused the fate, if known."""


@dataclass
class Trace:
    """Where a record came from, and what it went into."""

    id: str
    texts: dict[str, str] = field(default_factory=dict)
    """The texts of the record by field, from the first file that has it."""
    origins: list[Origin] = field(default_factory=list)
    """The raw rows of the record, with what prepare_data did with each."""
    prompt_id: str | None = None
    """The record that its prompt comes from, for a pair or sample."""
    quarantined: str | None = None
    """The reasons for which a pair was quarantined."""
    files: dict[str, int] = field(default_factory=dict)
    """Files with rows that are the record or were made from it, and how many."""
    checkpoints: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """By model and by what the record was to it (`trained on`, `measured on`, `downstream of`): the stages."""
    outputs: list[str] = field(default_factory=list)
    """All outputs that the record may have influenced, models included."""
    missing: list[str] = field(default_factory=list)
    """What could not be searched, such as artifacts that are neither in the working folder nor in DVC's cache."""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def trace_records(identities: Iterable[str], lock: Lock, contents: Contents, raw: RawSources) -> dict[str, Trace]:
    """Follow records by their ids, reading each file once for all of them.

    An id is 16 hex digits: of a raw record as in fates.jsonl, of a prompt, a sample, or a pair.
    """
    search = _Search(identities)
    for stage in lock.stages.values():
        for output in stage.outputs:
            if output.path in _NO_RECORDS:
                continue
            files = contents.files(output)
            for path, md5 in (files or {output.path: ""}).items():
                if not path.endswith(".jsonl") and files is not None:
                    continue
                lines = contents.lines(path, md5) if files is not None else None
                if lines is None:
                    search.note_missing(path)
                else:
                    search.look(path, lines)
    _find_origins(search.traces.values(), lock, contents, raw)
    for trace in search.traces.values():
        _follow(trace, lock)
        trace.missing += raw.missing
    return search.traces


def trace_record(identity: str, lock: Lock, contents: Contents, raw: RawSources) -> Trace:
    """Follow one record.

    Raises:
        PipelineError: no record has this id.
    """
    # a pasted id may have spaces around it, or capitals
    identity = identity.strip().lower()
    trace = trace_records([identity], lock, contents, raw)[identity]
    if not trace.origins and not trace.files:
        raise PipelineError(
            f"no raw record, prompt, sample or pair has the id {identity}. `audit --find TEXT` finds one by its text; "
            f"ids are in {FATES}."
        )
    return trace


_NO_RECORDS = ("artifacts/release",)
"""Outputs without records: models and cards, which DVC does not cache and a clone may not have made yet."""


class _Search:
    """Collects what files say of a few records. Files are shown to it in the order in which stages wrote them."""

    def __init__(self, identities: Iterable[str]) -> None:
        self.traces = {identity: Trace(identity) for identity in identities}
        self._related: dict[str, set[str]] = {identity: {identity} for identity in self.traces}
        """By id of a record, or of one that was made from it: the ids that were asked for."""

    def note_missing(self, path: str) -> None:
        """Note for every record that a file could not be searched."""
        for trace in self.traces.values():
            trace.missing.append(f"{path} is neither here nor in the DVC cache")

    def look(self, path: str, lines: Iterable[str]) -> None:
        """Count the rows of a file that are a record or were made from one; `_find_origins` reads the fates."""
        for line in lines if path != FATES else ():
            if len(self._related) <= _FEW and not any(identity in line for identity in self._related):
                continue
            row = json.loads(line)
            for identity in self._asked(row):
                self._count(path, row, self.traces[identity])

    def _asked(self, row: JsonObject) -> set[str]:
        keys = [row[name] for name in ("id", "prompt_id") if isinstance(row.get(name), str)]
        asked = {identity for key in keys for identity in self._related.get(key, ())}
        if asked and isinstance(row.get("id"), str):
            self._related.setdefault(str(row["id"]), set()).update(asked)
        return asked

    def _count(self, path: str, row: JsonObject, trace: Trace) -> None:
        trace.files[path] = trace.files.get(path, 0) + 1
        if row.get("id") != trace.id:
            return
        if not trace.texts:
            trace.texts = {name: row[name] for name in _TEXTS if isinstance(row.get(name), str)}
        if isinstance(row.get("prompt_id"), str):
            trace.prompt_id = row["prompt_id"]
        if row.get("reasons"):
            trace.quarantined = ", ".join(row["reasons"]) if isinstance(row["reasons"], list) else str(row["reasons"])


def _find_origins(traces: Iterable[Trace], lock: Lock, contents: Contents, raw: RawSources) -> None:
    """Add the raw rows of each record, and of the record from which its prompt comes."""
    wanted: dict[str, list[Trace]] = {}
    for trace in traces:
        for key in dict.fromkeys((trace.id, trace.prompt_id)):
            if key:
                wanted.setdefault(key, []).append(trace)
    for fate in read_fates(lock, contents):
        for trace in wanted.get(fate["id"] or "", ()):
            row = raw.row(fate["source"], fate["row"])
            text = None if row is None else row_text(row)
            trace.origins.append(Origin(fate["source"], fate["row"], fate["fate"], text, fate.get("seen")))


def _follow(trace: Trace, lock: Lock) -> None:
    """Add the models and reports that were made from files with the record, and whether it trained or measured each."""
    todo = []
    for stage in lock.stages.values():
        for role, files in ((TRAINED, trained_files), (MEASURED, measured_files)):
            if files(stage, trace.files):
                for model in subjects(stage):
                    _note(trace, model, role, stage)
        for original in originals(stage):
            for role, names in list(trace.checkpoints.get(original, {}).items()):
                for out in stage.outputs if role == TRAINED else []:
                    if is_checkpoint(out.path):
                        trace.checkpoints.setdefault(out.path, {}).setdefault(TRAINED, []).extend(names)
        if any(dep.covers(path) for dep in stage.inputs for path in trace.files):
            todo.append(stage)
    for stage in _reached(todo, lock):
        for out in stage.outputs:
            trace.outputs.append(out.path)
            if is_checkpoint(out.path) and out.path not in trace.checkpoints:
                _note(trace, out.path, DERIVED, stage)


def _note(trace: Trace, model: str, role: str, stage: StageRecord) -> None:
    names = trace.checkpoints.setdefault(model, {}).setdefault(role, [])
    if stage.name not in names:
        names.append(stage.name)


def _reached(readers: list[StageRecord], lock: Lock) -> Iterator[StageRecord]:
    """The stages that read a record, and all stages that depend on them.

    Stages that only hand rows on are included, but not all that depend on them: the rows that they made of the record
    were counted, so whoever reads those is among `readers`, and other rows do not depend on the record.
    """
    todo = [stage for stage in readers if not hands_on(stage)]
    seen: set[str] = set()
    while todo:
        stage = todo.pop(0)
        if stage.name not in seen:
            seen.add(stage.name)
            yield stage
            todo += [reader for out in stage.outputs for reader in lock.consumers(out.path)]
    yield from (stage for stage in readers if stage.name not in seen)
