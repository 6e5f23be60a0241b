"""All seeds of a method as rows of a table, and what hybrid repaired."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.params.schema import WriteReport
from pipeline.report.checkpoint_documents import Repair
from pipeline.report.formats import number, percent, signed
from pipeline.report.inputs import ReportInputs
from pipeline.report.page_samples import printable
from pipeline.report.palette import policy_label
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


@dataclass(frozen=True)
class RepairTable:
    """What hybrid did with the run that is shown; `start` is the policy it started from."""

    start: str
    sentence: str
    rows: Sequence[Sequence[str]]


def method_seeds(inputs: ReportInputs, params: WriteReport) -> list[MethodSeeds]:
    """A table for each method; none with one seed."""
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


def repair_table(inputs: ReportInputs) -> RepairTable | None:
    """None where no hybrid was run."""
    run = inputs.trained.get("hybrid")
    if run is None or run.checkpoints.repair is None:
        return None
    repair, start = run.checkpoints.repair, policy_label(inputs.methods[0])
    rows = [
        [
            printable(one.category),
            number(one.prompts, 0),
            *(number(score, 3) for score in (one.sft, one.before, one.after)),
            signed(one.after - one.before, 3),
            "trained on" if one.repaired else "only checked",
        ]
        for one in repair.categories
    ]
    return RepairTable(start, _repair_sentence(repair, start), rows)


def _repair_sentence(repair: Repair, start: str) -> str:
    limit = f"by more than {repair.threshold:g} below SFT's"
    regressed = [one for one in repair.categories if one.repaired]
    if not regressed:
        return f"No category's judge score had fallen {limit} under {start}: nothing was trained, and it stays {start}."
    names = ", ".join(printable(one.category) for one in regressed)
    back = sum(one.after >= one.sft - repair.threshold for one in regressed)
    return (
        f"Under {start} the judge score had fallen {limit} in {len(regressed)} of {len(repair.categories)} categories "
        f"({names}); PPO trained on their {repair.prompts_trained} prompts. {back} of {len(regressed)} came back."
    )
