"""What hybrid did to the categories that its start had made worse: a table, and the result in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.formats import number, signed
from pipeline.report.inputs import ReportInputs
from pipeline.report.page_samples import printable
from pipeline.report.pairs import HYBRID
from pipeline.report.palette import policy_label
from pipeline.report.repair import verify_run
from pipeline.results.repair import Difference, Outcome, Repair, VerifiedCategory

TRAINED: dict[Outcome, str] = {
    "better": "repaired beyond chance",
    "worse": "made worse",
    "no clear change": "no repair beyond chance",
    "too few prompts": "too few prompts to tell",
}
CHECKED: dict[Outcome, str] = {**TRAINED, "better": "better beyond chance", "no clear change": "no clear change"}
"""Outcomes in words, of categories that hybrid was not trained on."""


@dataclass(frozen=True)
class RepairTable:
    """What hybrid did with the run that is shown; `start` is the policy it started from."""

    start: str
    confidence: str
    sentence: str
    rows: Sequence[Sequence[str]]


def repair_table(inputs: ReportInputs) -> RepairTable | None:
    """What the page says about the repair; None where hybrid was not run."""
    run = inputs.trained.get(HYBRID)
    if run is None or run.checkpoints.repair is None:
        return None
    repair, start = run.checkpoints.repair, policy_label(inputs.methods[0])
    verified = verify_run(inputs, run)
    found = {one.category: one for one in repair.categories}
    rows = [
        [
            printable(row.category),
            f"{_with_interval(found[row.category].difference)}, {found[row.category].prompts} prompts",
            number(row.prompts, 0),
            *(_with_interval(one) for one in (row.start_minus_sft, row.hybrid_minus_start, row.hybrid_minus_sft)),
            "trained on" if row.trained_on else "only checked",
            outcome_words(row),
        ]
        for row in verified
    ]
    return RepairTable(start, _percent(repair.confidence), _sentence(repair, verified, start), rows)


def outcome_words(row: VerifiedCategory) -> str:
    """What became of a category."""
    return (TRAINED if row.trained_on else CHECKED)[row.outcome]


def _with_interval(change: Difference | None) -> str:
    if change is None:
        return "–"
    mean, low, high = change.mean, change.low, change.high
    if low is None or high is None:
        return f"{signed(mean, 3)} (range not known: too few prompts)"
    return f"{signed(mean, 3)} ({signed(low, 3)} to {signed(high, 3)})"


def _percent(share: float) -> str:
    return f"{100 * share:g}"


def _sentence(repair: Repair, verified: Sequence[VerifiedCategory], start: str) -> str:
    limit = f"beyond chance and by more than {repair.threshold:g} below SFT's"
    trained = [row for row in verified if row.trained_on]
    if not trained:
        return f"No category's judge score had fallen {limit} under {start}: nothing was trained, and it stays {start}."
    names = ", ".join(printable(row.category) for row in trained)
    worse = [printable(row.category) for row in verified if not row.trained_on and row.outcome == "worse"]
    others = f" Made worse, though not trained on: {', '.join(worse)}." if worse else ""
    return (
        f"On training prompts the judge score had fallen {limit} under {start} in {len(trained)} of {len(verified)} "
        f"categories ({names}); PPO trained on their {repair.prompts_trained} prompts. On evaluation prompts, which "
        f"nothing was chosen by: {_counted(trained)}.{others}"
    )


def _counted(trained: Sequence[VerifiedCategory]) -> str:
    """How many categories had each outcome, in the order of `TRAINED`."""
    counts = {words: sum(outcome_words(row) == words for row in trained) for words in TRAINED.values()}
    return ", ".join(f"{count} of {len(trained)} {words}" for words, count in counts.items() if count)
