"""Where records went: raw rows, pairs, samples and prompts, by their ids."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.errors import PipelineError
from pipeline.lineage.contents import Contents
from pipeline.lineage.fates import FATES, read_fates
from pipeline.lineage.raw import RawSources, row_text
from pipeline.lineage.roles import hands_on, is_checkpoint, measured_files, originals, subjects, trained_files
from pipeline.project.lockfile import Lock, StageRecord

_TEXTS = ("prompt", "text", "response", "chosen", "rejected")
_FEW = 16
"""Ids that are faster looked for in a line of JSON than in what it holds."""
TRAINED, MEASURED, DERIVED = "trained on", "measured on", "downstream of"


@dataclass
class Origin:
    """A raw row that a record is, or stems from."""

    source: str
    row: int
    fate: str
    text: str | None = None
    seen: str | None = None
    """What was the cause of the fate, where that is known."""


@dataclass
class Trace:
    """The way of a record through the pipeline."""

    id: str
    texts: dict[str, str] = field(default_factory=dict)
    """Its own texts by field, from the first file that has it."""
    origins: list[Origin] = field(default_factory=list)
    """Raw rows with what prepare_data did with them."""
    prompt_id: str | None = None
    """The record that its prompt comes from, for a pair or sample."""
    quarantined: str | None = None
    """Why the contract of pairs has refused it."""
    files: dict[str, int] = field(default_factory=dict)
    """Files with rows that are, or stem from, the record."""
    checkpoints: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Model to what the record was to it (`trained on`, `measured on`, `downstream of`) to the stages that did it."""
    outputs: list[str] = field(default_factory=list)
    """What stages wrote that the record may have influenced, models included."""
    missing: list[str] = field(default_factory=list)
    """Artifacts whose content is neither in the working folder nor in the DVC cache, and other gaps."""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def trace_records(identities: Iterable[str], lock: Lock, contents: Contents, raw: RawSources) -> dict[str, Trace]:
    """Follow records by their ids, all in one reading of the files.

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
        PipelineError: nothing has this id.
    """
    # ids are pasted, with spaces or in capitals
    identity = identity.strip().lower()
    trace = trace_records([identity], lock, contents, raw)[identity]
    if not trace.origins and not trace.files:
        raise PipelineError(
            f"no raw record, prompt, sample or pair has the id {identity}. `audit --find TEXT` finds one by its text; "
            f"ids are in {FATES}."
        )
    return trace


_NO_RECORDS = ("artifacts/release",)
"""Outputs of models and cards alone, which no cache has and a clone may not have made yet."""


class _Search:
    """What the files say of a few records; stages come in the order of dvc.lock, causes first."""

    def __init__(self, identities: Iterable[str]) -> None:
        self.traces = {identity: Trace(identity) for identity in identities}
        self._related: dict[str, set[str]] = {identity: {identity} for identity in self.traces}
        """A record, or one that was made from it, to the records that were asked for."""

    def note_missing(self, path: str) -> None:
        """Say of every record that a file was not looked at."""
        for trace in self.traces.values():
            trace.missing.append(f"{path} is neither here nor in the DVC cache")

    def look(self, path: str, lines: Iterable[str]) -> None:
        """Count the rows of a file that are, or stem from, a record; fates are read later, see `_find_origins`."""
        for line in lines if path != FATES else ():
            if len(self._related) <= _FEW and not any(identity in line for identity in self._related):
                continue
            row = json.loads(line)
            for identity in self._asked(row):
                self._count(path, row, self.traces[identity])

    def _asked(self, row: Mapping[str, Any]) -> set[str]:
        keys = [row[name] for name in ("id", "prompt_id") if isinstance(row.get(name), str)]
        asked = {identity for key in keys for identity in self._related.get(key, ())}
        if asked and isinstance(row.get("id"), str):
            self._related.setdefault(str(row["id"]), set()).update(asked)
        return asked

    def _count(self, path: str, row: Mapping[str, Any], trace: Trace) -> None:
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
    """The raw rows of records, or of the records that their prompts come from."""
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
    """From the files that have the record to the models and reports, and what it was to each."""
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
    """Stages that read a record, and all that read what they made of it.

    A stage that only hands rows on makes nothing of a record but the rows that were counted with it.
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
