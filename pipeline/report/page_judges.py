"""The judges on the page: how accurate each is, and whether they agree about the policies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.categories import category_differences, judge_gain
from pipeline.report.formats import number, percent, signed
from pipeline.report.inputs import ReportInputs
from pipeline.report.judges import agreement_sentences
from pipeline.report.page_policies import gain_tone
from pipeline.report.pairs import Score, gain, second_gain
from pipeline.results.document import Interval
from pipeline.results.judges import MeasuredJudge
from pipeline.results.policies import Sample


@dataclass(frozen=True)
class JudgeRow:
    """A judge, and what it is worth, as text."""

    role: str
    family: str
    fitted_on: str
    accuracy: str
    interval: str
    majority: str
    shared: str
    """Share of the errors of the judge that measures which this one makes, too."""
    problem: str


@dataclass(frozen=True)
class AgreementRow:
    """A method against SFT on some prompts, as both judges have it."""

    method: str
    category: str
    prompts: int
    first: str
    first_tone: str
    second: str
    second_tone: str
    same: str
    """Share of prompts on which both prefer the same of the two responses."""


@dataclass(frozen=True)
class JudgeSection:
    judges: Sequence[JudgeRow]
    sentences: Sequence[str]
    agreement: Sequence[AgreementRow]


def judge_section(inputs: ReportInputs) -> JudgeSection:
    """Tables for people; no agreement without a second judge."""
    return JudgeSection(_judge_rows(inputs), agreement_sentences(inputs), _agreement_rows(inputs))


def _judge_rows(inputs: ReportInputs) -> list[JudgeRow]:
    judge = inputs.judge
    if judge.evaluation is None:
        rows = [_row("ranks pairs and measures", judge, "–")]
    else:
        shared = judge.evaluation.shared_error_share
        rows = [_row("ranks pairs", judge, _share(shared)), _row("measures: the judge score", judge.evaluation, "–")]
    if judge.second is not None:
        rows.append(_row("measures again", judge.second, _share(judge.second.shared_error_share)))
    return rows


def _row(role: str, judge: MeasuredJudge, shared: str) -> JudgeRow:
    accuracy = judge.held_out_accuracy
    return JudgeRow(
        role=role,
        family=judge.family,
        fitted_on=judge.fitted_on,
        accuracy=percent(accuracy.mean) if judge.texts else "not known",
        interval=f"{percent(accuracy.low)} to {percent(accuracy.high)}",
        majority=percent(judge.majority_share),
        shared=shared,
        problem=judge.problem or "",
    )


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value)


def _agreement_rows(inputs: ReportInputs) -> list[AgreementRow]:
    rows = []
    for name in inputs.methods:
        again = second_gain(inputs, name)
        if again is None:
            return []
        pairs = list(zip(inputs.trained[name].samples, inputs.sft.samples, strict=True))
        rows.append(_agreement(name, "All", pairs, gain(inputs, name), again))
        changes = [_by_category(pairs, score) for score in ("judge_score", "second_judge_score")]
        for category in (row.category for row in inputs.sft.metrics.by_category):
            inside = [pair for pair in pairs if pair[1].category == category]
            if not inside:  # the row that has the smallest categories together
                continue
            first, second = (known[category] for known in changes)
            rows.append(_agreement(name, category, inside, first, second))
    return rows


def _by_category(pairs: Sequence[tuple[Sample, Sample]], score: Score) -> dict[str, Interval]:
    """Differences of all categories, which hold together, as in the table of categories; [-1, 1] of too few prompts."""
    kinds = [theirs.category for _, theirs in pairs]
    ours, theirs = ([getattr(sample, score) for sample in side] for side in zip(*pairs, strict=True))
    found = category_differences(kinds, ours, theirs, confidence=0.95)
    return {name: judge_gain(difference) for name, difference in found.items()}


def _agreement(
    method: str, category: str, pairs: Sequence[tuple[Sample, Sample]], first: Interval, second: Interval
) -> AgreementRow:
    sides = np.sign([
        (ours.judge_score - theirs.judge_score, (ours.second_judge_score or 0) - (theirs.second_judge_score or 0))
        for ours, theirs in pairs
    ])  # fmt: skip
    return AgreementRow(
        method=method,
        category=category,
        prompts=len(pairs),
        first=_interval(first),
        first_tone=gain_tone(first),
        second=_interval(second),
        second_tone=gain_tone(second),
        same=percent(float((sides[:, 0] == sides[:, 1]).mean())),
    )


def _interval(change: Interval) -> str:
    return f"{signed(change.mean, 3)} ({number(change.low, 3)} to {number(change.high, 3)})"
