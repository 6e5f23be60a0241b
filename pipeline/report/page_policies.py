"""The comparison table of the page: a row for each metric, a column for each policy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipeline.params.schema import WriteReport
from pipeline.report.formats import number, percent, signed
from pipeline.report.inputs import ReportInputs
from pipeline.report.limits import distinct_ratio, loses_diversity, perplexity_ratio, unlearns_language
from pipeline.report.pairs import gain, reward_gain, second_gain
from pipeline.results.document import Interval
from pipeline.results.policies import PolicyMetrics

BETTER, WORSE, SAME = "better", "worse", "same"


@dataclass(frozen=True)
class Bar:
    """An interval on a scale that the cells of a row share, in percent of the width."""

    left: float
    width: float
    mean: float


@dataclass(frozen=True)
class Cell:
    """A value, what stands under it, and how it compares with SFT."""

    value: str
    detail: str = ""
    tone: str = SAME
    bar: Bar | None = None


@dataclass(frozen=True)
class Row:
    """A metric of all policies."""

    label: str
    hint: str
    cells: Sequence[Cell]
    main: bool = False
    """Whether it is one of the main rows, which are shown first."""


def comparison_rows(inputs: ReportInputs, params: WriteReport) -> list[Row]:
    """Rows in the order in which one reads a result: gain, then price, then side effects; the main ones first."""
    main = [
        _judge_row(inputs),
        *_second_judge_row(inputs),
        _win_row(inputs),
        _reward_row(inputs),
        _kl_row(inputs, params),
        _perplexity_row(inputs, params),
        _distinct_row(inputs, params),
    ]
    more = [
        _equal_length_row(inputs),
        _k3_row(inputs),
        _plain_row(inputs, "Self-BLEU", "likeness to each other, lower is better", _self_bleu),
        _plain_row(inputs, "Repetition", "3-grams again in one response", lambda one: _fine(one.repeated_3grams)),
        _length_row(inputs),
        _end_row(inputs),
    ]
    return [*(replace(row, main=True) for row in main), *more]


def _judge_row(inputs: ReportInputs) -> Row:
    intervals = [policy.metrics.judge_score for policy in inputs.policies.values()]
    tones = [gain_tone(gain(inputs, name)) for name in inputs.methods]
    return Row("Judge score", "0 to 1, higher is better", _interval_cells(intervals, [SAME, *tones], digits=3))


def _second_judge_row(inputs: ReportInputs) -> list[Row]:
    """None without a second judge."""
    intervals = [policy.metrics.second_judge_score for policy in inputs.policies.values()]
    known = [one for one in intervals if one is not None]
    changes = [change for name in inputs.methods if (change := second_gain(inputs, name)) is not None]
    if inputs.judge.second is None or len(known) < len(intervals) or len(changes) < len(inputs.methods):
        return []
    cells = _interval_cells(known, [SAME, *map(gain_tone, changes)], digits=3)
    return [Row("Second judge's score", f"{inputs.judge.second.family}, 0 to 1", cells)]


def _reward_row(inputs: ReportInputs) -> Row:
    intervals = [policy.metrics.reward_score for policy in inputs.policies.values()]
    tones = [gain_tone(reward_gain(inputs, name)) for name in inputs.methods]
    return Row("Reward score", "reward model, higher is better", _interval_cells(intervals, [SAME, *tones], digits=2))


def _interval_cells(intervals: Sequence[Interval], tones: Sequence[str], *, digits: int) -> list[Cell]:
    bars = _bars(intervals)
    return [
        Cell(number(one.mean, digits), _range(one, digits), tone, bar)
        for one, tone, bar in zip(intervals, tones, bars, strict=True)
    ]


def _win_row(inputs: ReportInputs) -> Row:
    wins = {name: inputs.policies[name].metrics.win_rate_vs_sft for name in inputs.methods}
    bars = _bars(list(wins.values()), low=0.0, high=1.0)
    cells = [
        Cell(percent(one.mean), f"{percent(one.low)} to {percent(one.high)}", _win_tone(one, gain(inputs, name)), bar)
        for (name, one), bar in zip(wins.items(), bars, strict=True)
    ]
    return Row("Win rate against SFT", "share of prompts, by the judge", [Cell("–", "is the baseline"), *cells])


def _equal_length_row(inputs: ReportInputs) -> Row:
    found = {name: inputs.policies[name].metrics.length_controlled_interval for name in inputs.methods}
    known = {name: one for name, one in found.items() if one is not None}
    bars = dict(zip(known, _bars(list(known.values()), low=0.0, high=1.0), strict=True)) if known else {}
    cells = [Cell("–", "is the baseline")]
    for name in inputs.methods:
        if name not in known:
            cells.append(Cell("–", "too few prompts, or no difference"))
            continue
        share, plain = known[name], inputs.policies[name].metrics.win_rate_vs_sft.mean
        moved = f"{signed(100 * (share.mean - plain), 0)} points"
        detail = f"{percent(share.low)} to {percent(share.high)}; {moved}"
        cells.append(Cell(percent(share.mean), detail, _equal_length_tone(share, gain(inputs, name)), bars[name]))
    return Row("Win rate at equal length", "what is left when length is no reason", cells)


def _kl_row(inputs: ReportInputs, params: WriteReport) -> Row:
    methods = [inputs.policies[name].metrics for name in inputs.methods]
    bars = _bars([one.kl_interval for one in methods], low=0.0)
    cells = [
        Cell(
            number(one.kl_nats_per_sequence, 2),
            _range(one.kl_interval, 2),
            WORSE if one.kl_nats_per_sequence > params.max_kl else SAME,
            bar,
        )
        for one, bar in zip(methods, bars, strict=True)
    ]
    return Row(
        "KL from SFT", f"nats per sequence, flagged above {params.max_kl:g}", [Cell("0", "by definition"), *cells]
    )


def _k3_row(inputs: ReportInputs) -> Row:
    cells = [Cell("0", "by definition")]
    for name in inputs.methods:
        metrics = inputs.policies[name].metrics
        cells.append(
            Cell(number(metrics.kl_k3_nats_per_sequence, 2), f"{number(metrics.kl_k3_nats_per_token, 3)} per token")
        )
    return Row("KL, k3 estimate", "less noisy, never negative", cells)


def _perplexity_row(inputs: ReportInputs, params: WriteReport) -> Row:
    sft = inputs.sft.metrics
    cells = [Cell("-" if sft.perplexity_held_out is None else number(sft.perplexity_held_out, 1))]
    for name in inputs.methods:
        policy = inputs.policies[name].metrics
        if policy.perplexity_held_out is None:
            cells.append(Cell("-"))
            continue
        change = f"{signed(100 * (perplexity_ratio(policy, sft) - 1), 1)} %"
        tone = WORSE if unlearns_language(policy, sft, params) else SAME
        cells.append(Cell(number(policy.perplexity_held_out, 1), change, tone))
    return Row("Held-out perplexity", "on human text, lower is better", cells)


def _distinct_row(inputs: ReportInputs, params: WriteReport) -> Row:
    sft = inputs.sft.metrics
    before = sft.distinct_2
    cells = [Cell(number(before, 3))]
    for name in inputs.methods:
        policy = inputs.policies[name].metrics
        change = f"{signed(100 * (distinct_ratio(policy.distinct_2, before) - 1), 1)} %" if before else ""
        tone = WORSE if loses_diversity(policy, sft, params) else SAME
        cells.append(Cell(number(policy.distinct_2, 3), change, tone))
    return Row("Distinct-2", "diversity, higher is better", cells)


def _length_row(inputs: ReportInputs) -> Row:
    cells = [
        Cell(
            number(one.mean_response_tokens, 1),
            f"median {number(one.median_response_tokens, 0)}, 90 %: {number(one.p90_response_tokens, 0)}",
        )
        for one in (policy.metrics for policy in inputs.policies.values())
    ]
    return Row("Response length", "tokens, mean; 90 % are at most", cells)


def _end_row(inputs: ReportInputs) -> Row:
    cells = [
        Cell(
            percent(one.eos_rate),
            f"{percent(one.eos_interval.low)} to {percent(one.eos_interval.high)}; {percent(one.cut_rate)} cut, "
            f"{percent(one.cut_interval.low)} to {percent(one.cut_interval.high)}",
        )
        for one in (policy.metrics for policy in inputs.policies.values())
    ]
    return Row("Ended by itself", "EOS rate; cut at the limit", cells)


def _self_bleu(metrics: PolicyMetrics) -> str:
    return "–" if metrics.self_bleu is None else number(metrics.self_bleu, 3)


def _fine(share: float) -> str:
    return f"{number(100 * share, 1)}\N{NO-BREAK SPACE}%"


def _plain_row(inputs: ReportInputs, label: str, hint: str, text: Callable[[PolicyMetrics], str]) -> Row:
    return Row(label, hint, [Cell(text(policy.metrics)) for policy in inputs.policies.values()])


def gain_tone(change: Interval) -> str:
    """Better or worse only where the whole interval of a difference lies on one side of 0."""
    if change.rose:
        return BETTER
    return WORSE if change.fell else SAME


def _win_tone(wins: Interval, change: Interval) -> str:
    """The tone of the gain, which alone decides what is better; no change where the win rate does not show the same."""
    tone = gain_tone(change)
    return tone if tone == gain_tone(_against_half(wins)) else SAME


def _equal_length_tone(wins: Interval, change: Interval) -> str:
    """Better by `_win_tone`; worse where the policy loses at equal length, even if longer responses gave it a gain."""
    return WORSE if _against_half(wins).fell else _win_tone(wins, change)


def _against_half(wins: Interval) -> Interval:
    return Interval(mean=wins.mean - 0.5, low=wins.low - 0.5, high=wins.high - 0.5)


def _range(interval: Interval, digits: int) -> str:
    return f"{number(interval.low, digits)} to {number(interval.high, digits)}"


def _bars(intervals: Sequence[Interval], *, low: float | None = None, high: float | None = None) -> list[Bar]:
    """The intervals on one scale, by default from the lowest end to the highest with a margin on both sides."""
    bottom = min(one.low for one in intervals) if low is None else min(low, *(one.low for one in intervals))
    top = max(one.high for one in intervals) if high is None else high
    air = 0.06 * (top - bottom)
    bottom, span = bottom - air, (top - bottom + 2 * air) or 1.0
    place = [tuple(100 * (value - bottom) / span for value in (one.low, one.high, one.mean)) for one in intervals]
    return [Bar(round(start, 2), round(end - start, 2), round(mean, 2)) for start, end, mean in place]
