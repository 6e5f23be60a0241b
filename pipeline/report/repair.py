"""Whether hybrid repaired what had regressed, on the evaluation prompts, by which nothing was chosen."""

from collections.abc import Collection, Sequence

from pipeline.evaluation.categories import category_differences
from pipeline.report.inputs import ReportInputs, TrainedPolicy
from pipeline.report.pairs import HYBRID
from pipeline.results.policies import Sample
from pipeline.results.repair import Difference, Outcome, VerifiedCategory


def outcome_of(change: Difference | None) -> Outcome:
    """One word for a difference; it is a change only if its whole interval lies on one side of 0."""
    if change is None or change.low is None or change.high is None:
        return "too few prompts"
    if change.low > 0:
        return "better"
    return "worse" if change.high < 0 else "no clear change"


def verify(
    regressed: Collection[str],
    checked: Collection[str],
    *,
    categories: Sequence[str],
    sft: Sequence[float],
    start: Sequence[float],
    hybrid: Sequence[float],
    confidence: float,
) -> list[VerifiedCategory]:
    """The categories that were trained on, then the others, each by name.

    Whether a repair worked is asked of the trained ones alone, so their intervals hold together with `confidence`, and
    those of the others among themselves (see `category_differences`).

    Args:
        regressed, checked: categories as they were found.
        categories: of the evaluation prompts, (N,).
        sft, start, hybrid: judge scores on these prompts, (N,).
        confidence: as that of the regressions.
    """
    rows = []
    for group, trained_on in ((regressed, True), (checked, False)):
        inside = [at for at, one in enumerate(categories) if one in set(group)]
        kinds = [categories[at] for at in inside]
        scores = {
            name: [values[at] for at in inside] for name, values in (("sft", sft), ("start", start), ("hybrid", hybrid))
        }
        fall, repair, left = (
            category_differences(kinds, scores[ours], scores[theirs], confidence=confidence)
            for ours, theirs in (("start", "sft"), ("hybrid", "start"), ("hybrid", "sft"))
        )
        for name in sorted(group):
            row = VerifiedCategory(
                category=name,
                trained_on=trained_on,
                prompts=repair[name].prompts if name in repair else 0,
                start_minus_sft=fall.get(name),
                hybrid_minus_start=repair.get(name),
                hybrid_minus_sft=left.get(name),
                outcome=outcome_of(repair.get(name)),
            )
            rows.append(row)
    return rows


def verify_run(inputs: ReportInputs, run: TrainedPolicy) -> list[VerifiedCategory]:
    """`verify` of a hybrid and the run of its seed that it started from; empty for another method."""
    repair = run.checkpoints.repair
    if repair is None:
        return []
    return verify(
        [one.category for one in repair.categories if one.regressed],
        [one.category for one in repair.categories if not one.regressed],
        categories=[sample.category for sample in inputs.sft.samples],
        sft=_judged(inputs.sft.samples),
        start=_judged(start_of(inputs, run).samples),
        hybrid=_judged(run.samples),
        confidence=repair.confidence,
    )


def start_of(inputs: ReportInputs, run: TrainedPolicy) -> TrainedPolicy:
    """The first method's run of the same seed."""
    return next(one for one in inputs.runs[inputs.methods[0]] if one.seed == run.seed)


def repair_entries(inputs: ReportInputs) -> dict[str, list[VerifiedCategory]]:
    """As it stands in comparison.json: a list of categories for each run of hybrid, by `seed-N`."""
    return {f"seed-{run.seed}": verify_run(inputs, run) for run in inputs.runs.get(HYBRID, [])}


def _judged(samples: Sequence[Sample]) -> list[float]:
    return [sample.judge_score for sample in samples]
