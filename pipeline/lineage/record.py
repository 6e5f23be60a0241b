"""Where one raw record went."""

from dataclasses import dataclass, field

from pipeline.errors import PipelineError
from pipeline.lineage.contents import Contents
from pipeline.lineage.lockfile import Lock

FATES = "artifacts/data/fates.jsonl"


@dataclass
class Trace:
    """The way of a record through the pipeline."""

    id: str
    fates: list[str] = field(default_factory=list)
    """Raw rows with what prepare_data did with them."""
    files: dict[str, int] = field(default_factory=dict)
    """Files with rows that are, or stem from, the record."""
    stages: list[str] = field(default_factory=list)
    """Stages that read one of these files, or what such a stage wrote."""
    outputs: list[str] = field(default_factory=list)
    """What these stages wrote: whatever the record may have influenced."""
    missing: list[str] = field(default_factory=list)
    """Artifacts whose content is neither in the working folder nor in the DVC cache."""

    def describe(self) -> str:
        """The trace as text."""
        lines = [f"record {self.id}", *(f"  {fate}" for fate in self.fates)]
        lines += [f"  in {path}: {count} row{'s' * (count > 1)}" for path, count in self.files.items()]
        if self.stages:
            lines += ["  went into", *(f"    {stage}" for stage in self.stages)]
            lines += ["  which wrote", *(f"    {output}" for output in self.outputs)]
        else:
            lines.append("  went into nothing that was trained or measured")
        return "\n".join(
            [*lines, *(f"  not looked at: {path} is neither here nor in the DVC cache" for path in self.missing)]
        )


def trace_record(identity: str, lock: Lock, contents: Contents) -> Trace:
    """Follow a record by its id: 16 hex digits of the hash of its raw text, as in fates.jsonl.

    Raises:
        PipelineError: no raw row has this id.
    """
    trace = Trace(identity)
    related = {identity}
    for stage in lock.stages.values():
        for output in stage.outputs:
            files = contents.record_files(output)
            if files is None:
                trace.missing.append(output.path)
            for path, rows in (files or {}).items():
                _look(path, rows, related, trace)
    if not trace.fates and not trace.files:
        raise PipelineError(
            f"no raw record has the id {identity}. Ids are in {FATES}; that of a text is "
            "`python -c 'from pipeline.data.records import record_id; print(record_id(TEXT))'`."
        )
    _follow(trace, lock)
    return trace


def _look(path: str, rows: list[dict[str, object]], related: set[str], trace: Trace) -> None:
    """Count the rows of a file that stem from the record. Stages come in the order of dvc.lock, causes first."""
    if path == FATES:
        found = [row for row in rows if row["id"] == trace.id]
        trace.fates += [f"raw row {row['row']}: {row['fate']}" for row in found]
        return
    count = 0
    for row in rows:
        if row.get("id") in related or row.get("prompt_id") in related:
            count += 1
            if isinstance(row.get("id"), str):
                related.add(str(row["id"]))  # a pair that was made from it has an id of its own
            if row.get("reasons"):
                trace.fates.append(f"pair {row['id']}: quarantined for {row['reasons']}")
    if count:
        trace.files[path] = count


def _follow(trace: Trace, lock: Lock) -> None:
    todo, seen = list(trace.files), set(trace.files)
    while todo:
        for stage in lock.consumers(todo.pop(0)):
            if stage.name in trace.stages:
                continue
            trace.stages.append(stage.name)
            for output in stage.outputs:
                trace.outputs.append(output.path)
                if output.path not in seen:
                    seen.add(output.path)
                    todo.append(output.path)
