"""All seeds of a method as rows of a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.params.schema import WriteReport
from pipeline.report.formats import number, percent, signed
from pipeline.report.inputs import ReportInputs
from pipeline.report.seeds import MEASURES, SeedRun, SeedTable, seed_tables

_SHOWN: Mapping[str, Callable[[float], str]] = {
    "judge_score": lambda value: number(value, 3),
    "reward_score": lambda value: number(value, 2),
    "kl_nats_per_sequence": lambda value: number(value, 2),
    "win_rate_vs_sft": percent,
    "perplexity_held_out": lambda value: number(value, 1),
    "distinct_2": lambda value: number(value, 3),
}


@dataclass(frozen=True)
class SeedRow:
    """One seed, or a summary of all: a cell for each measure, then the selected step and what it gained."""

    label: str
    remark: str
    collapsed: bool
    cells: Sequence[str]


@dataclass(frozen=True)
class MethodSeeds:
    method: str
    rows: Sequence[SeedRow]
    summary: Sequence[SeedRow]


def method_seeds(inputs: ReportInputs, params: WriteReport) -> list[MethodSeeds]:
    """A table for each method; no table where there is only one seed."""
    tables = seed_tables(inputs, params)
    return [
        MethodSeeds(method, [_seed_row(row) for row in table.runs], _summary(table)) for method, table in tables.items()
    ]


def _seed_row(row: SeedRun) -> SeedRow:
    remarks = [*row.collapsed, *["median, shown on this page"] * row.representative]
    metrics, gained = row.run.metrics, row.selected_minus_last
    cells = _cells({name: value for name, of in MEASURES.items() if (value := of(row.run)) is not None})
    steps = f"{metrics.selected_step} of {metrics.last_step}"
    collapsed = bool(row.collapsed)
    label = f"{row.run.seed}{', collapsed' if collapsed else ''}"
    return SeedRow(
        label, "; ".join(remarks), collapsed, [*cells[:-2], steps, "–" if gained is None else signed(gained, 3)]
    )


def _summary(table: SeedTable) -> list[SeedRow]:
    ranges = [
        f"{shown(table.low[name])} to {shown(table.high[name])}" if name in table.low else "–"
        for name, shown in _SHOWN.items()
    ]
    rows = [
        SeedRow("Mean", "all seeds", False, _cells(table.mean)),
        SeedRow("Standard deviation", "n − 1", False, _cells(table.deviation)),
        SeedRow("Range", "", False, [*ranges, "", ""]),
    ]
    if table.mean_without_collapsed is not None:
        rows.insert(1, SeedRow("Mean without collapsed", "", False, _cells(table.mean_without_collapsed)))
    return rows


def _cells(values: Mapping[str, float]) -> list[str]:
    return [*(shown(values[name]) if name in values else "–" for name, shown in _SHOWN.items()), "", ""]
