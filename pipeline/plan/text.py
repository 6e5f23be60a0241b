"""A plan as text for people, and as JSON for programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.memory.parts import ROLES, total
from pipeline.plan.speed import Clock
from pipeline.plan.stages import PlannedStage

_GIB = 2**30


@dataclass(frozen=True)
class Plan:
    """All stages of a run, on a machine."""

    stages: Sequence[PlannedStage]
    clock: Clock | None
    """None where nothing is known of the machine's speed."""
    machine: str
    limit: int
    """Bytes of memory."""
    free: int | None
    """Free bytes of the disk; None where another machine is planned for."""
    note: str = ""
    """Why lengths are not those of the data; empty where they are."""

    @property
    def problems(self) -> list[str]:
        """What will not fit, each with what to change."""
        found: dict[str, str] = {}
        for stage in self.stages:
            if stage.fit is not None and not stage.fit.fits:
                # the seeds of a method need the same
                found.setdefault(stage.stage.rpartition("-")[0] or stage.stage, f"{stage.stage} {stage.fit.problem}")
        problems = list(dict.fromkeys(found.values()))
        if self.free is not None and self.disk > self.free:
            problems.append(
                f"the outputs take about {_size(self.disk)}, and {_size(self.free)} of the disk are free: train fewer "
                "optimize.seeds, keep fewer checkpoints (save_steps of the method), or make room (`make gc`)."
            )
        return problems

    @property
    def disk(self) -> int:
        """Bytes of all outputs."""
        return sum(stage.disk for stage in self.stages)

    def seconds(self, stage: PlannedStage) -> float | None:
        """Seconds of a stage; None where nothing is known of the machine's speed."""
        return None if self.clock is None else self.clock.seconds(stage.labour, stage.fixed)


def render(plan: Plan) -> str:
    """The plan as a table, with what it is a plan of, and what will not fit."""
    rows = [_HEADER, *(_cells(plan, stage) for stage in plan.stages)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = []
    for first, *others, last in rows:
        cells = [first.ljust(widths[0]), *map(str.rjust, others, widths[1:-1]), last]
        lines.append("  ".join(cells).rstrip())
    lines += ["", _summary(plan)]
    if plan.note:
        lines.append(f"Lengths and numbers are the largest that params.yaml allows: {plan.note}")
    lines += [f"Will not fit: {problem}" for problem in plan.problems]
    return "\n".join(lines)


_HEADER = ("stage", "parameters", "trained", "peak", "disk", "tokens", "time", "of the peak, GiB")


def _cells(plan: Plan, stage: PlannedStage) -> tuple[str, ...]:
    held, seconds = total(stage.parts), plan.seconds(stage)
    roles = [(role, count) for role in ROLES if (count := stage.parts.get(role, 0)) >= max(held / 100, 1)]
    fits = stage.fit is None or stage.fit.fits
    return (
        stage.stage,
        _number(stage.parameters),
        _number(stage.trained),
        f"{'' if fits else '! '}{_size(held)} of {_size(plan.limit)}" if held else "-",
        _size(stage.disk) if stage.disk else "-",
        _number(stage.labour.tokens),
        "-" if seconds is None else duration(seconds),
        ", ".join(f"{role} {count / _GIB:.2f}" for role, count in roles) or "-",
    )


def _summary(plan: Plan) -> str:
    said = [f"For {plan.machine}.", f"Disk about {_size(plan.disk)} in all."]
    if plan.clock is not None:
        whole = sum(plan.clock.seconds(stage.labour, stage.fixed) for stage in plan.stages)
        said.append(
            f"Time about {duration(whole)}, one stage after the other: an estimate, right to within a factor of two "
            "where the machine has nothing else to do; judges that answer over a network are not counted."
        )
    else:
        said.append("Time is not known of another machine: --teraflops says how fast it is.")
    said.append("Peaks are estimates, too: docs/operations.md says how far they were off.")
    return " ".join(said)


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan in bytes, tokens and seconds."""
    return {
        "machine": plan.machine,
        "memory_bytes": plan.limit,
        "disk_bytes": plan.disk,
        "disk_free_bytes": plan.free,
        "note": plan.note,
        "problems": plan.problems,
        "stages": [
            {
                "stage": stage.stage,
                "parameters": stage.parameters,
                "trained_parameters": stage.trained,
                "peak_bytes": total(stage.parts),
                "bytes": dict(stage.parts),
                "fits": stage.fit is None or stage.fit.fits,
                "changes": [] if stage.fit is None else [
                    {"key": one.key, "value": one.value, "peak_bytes": one.need} for one in stage.fit.remedies
                ],
                "disk_bytes": stage.disk,
                "tokens": round(stage.labour.tokens),
                "operations": sum(stage.labour.operations.values()),
                "seconds": plan.seconds(stage),
            }
            for stage in plan.stages
        ],
    }  # fmt: skip


def _size(count: float) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB / 10 else f"{count / 2**20:.0f} MiB"


def _number(count: float) -> str:
    if not count:
        return "-"
    for size, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{name}"
    return f"{count:.0f}"


def duration(seconds: float) -> str:
    """Seconds as people write them: `40 s`, `12 min`, `3.5 h`, `4 d`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} d"
