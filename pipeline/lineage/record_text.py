"""Traces of records as text for a terminal."""

from collections.abc import Mapping, Sequence

from pipeline.excerpts import shorten
from pipeline.lineage.lines import fitted, titled
from pipeline.lineage.record import DERIVED, MEASURED, TRAINED, Origin, Trace
from pipeline.lineage.search import Finding

_WORDS = {
    TRAINED: "trained on it",
    MEASURED: "measured or chosen with it",
    DERIVED: "only downstream of it",
}


def describe(trace: Trace) -> str:
    """Texts, origin, files and models of a record."""
    lines = [f"record {trace.id}"]
    lines += [line for name, text in trace.texts.items() for line in titled(name, [_quoted(text)])]
    lines += [line for origin in trace.origins for line in titled("from", [_origin(origin)])]
    if trace.prompt_id not in (None, trace.id):
        lines += titled("prompt", [f"of record {trace.prompt_id}"])
    if trace.quarantined:
        lines += titled("refused", [f"pair {trace.id}: quarantined for {trace.quarantined}"])
    lines += [line for path, n in trace.files.items() for line in titled("in", [f"{path}: {n} row{'s' * (n > 1)}"])]
    lines += _models(trace.checkpoints)
    if not trace.checkpoints:
        lines.append("  went into nothing that was trained or measured")
    others = [path for path in trace.outputs if path not in trace.checkpoints]
    lines += titled("further outputs downstream", [f"{len(others)} (--json names them)"]) if others else []
    lines += [line for gap in trace.missing for line in titled("not looked at", [gap])]
    return "\n".join(fitted(lines))


def describe_findings(found: Sequence[Finding], counts: Mapping[str, int], traces: Mapping[str, Trace]) -> str:
    """Counts of all hits of a search, and the first hits with the models that they went into."""
    total = sum(counts.values())
    lines = [f"{total} hit{'s' * (total != 1)}" + "".join(f"\n  {count} in {path}" for path, count in counts.items())]
    for hit in found:
        row = f" row {hit.row}" if hit.row else ""
        lines.append(f"{hit.path}{row}  {hit.id or 'without an id'}  {hit.fate or ''}".rstrip())
        lines += titled("text", [_quoted(hit.text)])
        if hit.id is not None and hit.id in traces:
            lines += _models(traces[hit.id].checkpoints) or ["  went into no model"]
    if total > len(found):
        lines.append(f"{total - len(found)} more; --limit shows them")
    return "\n".join(fitted(lines))


def _models(checkpoints: Mapping[str, Mapping[str, Sequence[str]]]) -> list[str]:
    lines = []
    for role, words in _WORDS.items():
        models = {model: roles[role] for model, roles in checkpoints.items() if role in roles}
        shown = [f"{model} ({', '.join(stages)})" if role != DERIVED else model for model, stages in models.items()]
        lines += titled(words, shown) if shown else []
    return lines


def _origin(origin: Origin) -> str:
    text = "" if origin.text is None else f": {_quoted(origin.text)}"
    cause = "" if origin.seen is None else f" ({_printable(origin.seen)})"
    return f"{origin.source} raw row {origin.row}: {origin.fate}{cause}{text}"


def _quoted(text: str) -> str:
    return f'"{_printable(shorten(text))}"'


def _printable(text: str) -> str:
    # a control character in somebody's data must not steer the terminal
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in " ".join(text.split()))
