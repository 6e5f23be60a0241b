"""Who measured, how far each judge can be trusted, and whether a gain holds under both."""

from typing import Literal

from pipeline.report.formats import percent, signed
from pipeline.report.inputs import ReportInputs
from pipeline.report.pairs import gain, over, over_words, second_gain
from pipeline.report.palette import policy_label
from pipeline.results.comparison import ComparedJudge, ComparedSecondJudge, Gain
from pipeline.results.document import Interval
from pipeline.results.judges import MeasuredJudge

Role = Literal["first", "second"]
FIRST: Role = "first"
SECOND: Role = "second"
"""Whose score is the judge score, and who measures again."""


def judge_entries(inputs: ReportInputs) -> dict[str, ComparedSecondJudge | ComparedJudge]:
    """The judges that measured policies, by kind, as they stand in comparison.json; the first gives the judge score."""
    first = inputs.judge.measuring
    entries: dict[str, ComparedSecondJudge | ComparedJudge] = {first.kind: _entry(first, FIRST, None)}
    if (second := inputs.judge.second) is not None:
        entries[second.kind] = ComparedSecondJudge(
            **_entry(second, SECOND, second.shared_error_share).as_fields(),
            expected_shared_error_share=second.expected_shared_error_share,
            agreement=second.agreement,
        )
    return entries


def _entry(judge: MeasuredJudge, role: Role, shared_error_share: float | None) -> ComparedJudge:
    return ComparedJudge(
        role=role,
        family=judge.family,
        fitted_on=judge.fitted_on,
        accuracy=judge.held_out_accuracy,
        majority_share=judge.majority_share,
        texts=judge.texts,
        problem=judge.problem,
        shared_error_share=shared_error_share,
    )


def gain_entries(inputs: ReportInputs, name: str) -> dict[str, Gain]:
    """What a method did to the score of each judge, as it stands in comparison.json."""
    changes = {inputs.judge.measuring.kind: gain(inputs, name)}
    if inputs.judge.second is not None and (again := second_gain(inputs, name)) is not None:
        changes[inputs.judge.second.kind] = again
    return {kind: Gain(**change.as_fields(), over=over(inputs)) for kind, change in changes.items()}


def confirmed(inputs: ReportInputs, name: str) -> bool | None:
    """Whether the second judge sees the gain, too; None without a second judge that can be trusted."""
    second, again = inputs.judge.second, second_gain(inputs, name)
    return None if again is None or second is None or second.problem else again.rose


def second_sentence(inputs: ReportInputs, name: str) -> str | None:
    """What the second judge says of a method."""
    second, again = inputs.judge.second, second_gain(inputs, name)
    if second is None or again is None:
        return None
    seen = f"{_the(second)} puts it at {_interval(again)}"
    first = gain(inputs, name)
    if no_verdict(inputs) is not None:
        return f"{seen}."
    if second.problem:
        return f"{seen}, but is {second.problem}: that confirms nothing."
    if first.rose:
        return f"{seen}: the gain {'holds under both judges' if again.rose else 'does not hold under both judges'}."
    return f"{seen}, {'beyond chance' if again.rose or again.fell else 'which may be chance'}."


def no_verdict(inputs: ReportInputs) -> str | None:
    """Why the judge score is not reliable enough for a verdict; None where it is."""
    judge = inputs.judge.measuring
    if judge.problem is None:
        return None
    return f"The judge that measures, a {judge.family}, is {judge.problem}."


def not_measured(inputs: ReportInputs) -> str | None:
    """What to say where no labels tell what the judge is worth."""
    if inputs.judge.measuring.texts:
        return None
    return "Nobody knows what the judge is worth: the data has no labels to measure it on."


def learned_from_the_pairs(inputs: ReportInputs) -> str | None:
    """What to say where the judge that measures was fitted on the preferences that the policies learn from."""
    fates = [source.fates for source in inputs.sources.sources]
    if inputs.judge.measuring.kind != "classifier" or any(one.get("used.judge") for one in fates):
        return None
    return (
        "The judge that measures was fitted on the preferences that the policies were trained on: what both mistook "
        "counts as a gain, so gains are too large."
    )


def judge_warnings(inputs: ReportInputs) -> list[tuple[str, str]]:
    """Codes and messages about judges that cannot be trusted."""
    warnings = []
    advice = "Take a better judge (judge.kind), or give it more labels (data.splits.judge)"
    if inputs.judge.evaluation is not None and inputs.judge.problem:
        seen = f"The judge that ranked pairs, a {inputs.judge.family}, is {inputs.judge.problem}"
        warnings.append(("judge_below_minimum", f"{seen}. What was learned from its pairs is as good as it. {advice}."))
    if (problem := no_verdict(inputs)) is not None:
        meaning = "No verdict rests on its scores, and the last checkpoint went on instead of its choice"
        warnings.append(("judge_below_minimum", f"{problem} {meaning}. {advice}."))
    if (unknown := not_measured(inputs)) is not None:
        warnings.append(("judge_not_measured", f"{unknown} Give it labelled or preferred texts (data.splits.test)."))
    if (shared := learned_from_the_pairs(inputs)) is not None:
        advice = "Give the judge prompts of its own (data.splits.judge: 0.2), or take another (judge.kind)"
        warnings.append(("judge_not_independent", f"{shared} {advice}."))
    if (second := inputs.judge.second) is not None and second.problem:
        advice = "Take another (judge.second), or none"
        warnings.append(("second_judge_below_minimum", f"{_the(second)} is {second.problem}. {advice}."))
    return warnings


def confirmation_warnings(inputs: ReportInputs, name: str) -> list[tuple[str, str]]:
    """Codes and messages about a gain that the second judge does not see."""
    if not gain(inputs, name).rose or confirmed(inputs, name) is not False:
        return []
    again = second_gain(inputs, name)
    assert again is not None and inputs.judge.second is not None
    seen = f"{_the(inputs.judge.second)} puts the gain of {policy_label(name)} at {_interval(again)}, "
    seen += f"prompt by prompt {over_words(inputs)}: not above 0 beyond chance"
    meaning = "The policy may have learned what the first judge gets wrong"
    return [("gain_not_confirmed", f"{seen}. {meaning}. Read samples, and ask a third judge.")]


def agreement_sentences(inputs: ReportInputs) -> list[str]:
    """Where the two judges agree: on human labels, and on every method against SFT, prompt by prompt."""
    second = inputs.judge.second
    if second is None or second.agreement is None:
        return []
    told = [f"On texts with human labels the two say the same in {percent(second.agreement)} of the cases."]
    if second.shared_error_share is not None and second.expected_shared_error_share is not None:
        told.append(
            f"Of the first judge's errors the second makes {percent(second.shared_error_share)}, too; it would be "
            f"{percent(second.expected_shared_error_share)} if their errors had nothing to do with each other."
        )
    return told


def _the(judge: MeasuredJudge) -> str:
    return f"The second judge, a {judge.family},"


def _interval(change: Interval) -> str:
    return f"{signed(change.mean, 3)} ({signed(change.low, 3)} to {signed(change.high, 3)})"
