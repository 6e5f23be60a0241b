"""The result in words, computed from the numbers: what is better, by how much, and at what cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from pipeline.report.formats import percent, signed
from pipeline.report.inputs import ReportInputs
from pipeline.report.judges import learned_from_the_pairs, no_verdict, not_measured, second_sentence
from pipeline.report.limits import perplexity_ratio
from pipeline.report.pairs import difference, gains, over_words
from pipeline.report.palette import policy_label
from pipeline.results.document import Interval

_ONE_SEED = "Each method was trained with one seed: how much another seed would change this was not measured."


@dataclass(frozen=True)
class Verdict:
    """A headline and the sentences under it."""

    headline: str
    sentences: list[str]


def state_verdict(inputs: ReportInputs) -> Verdict:
    """Compare every method with SFT, and the best with the other methods, on the same prompts and over all seeds."""
    found = gains(inputs)
    ranked = list(found)
    found_wanting = (no_verdict(inputs) or not_measured(inputs), learned_from_the_pairs(inputs))
    sentences = [problem for problem in found_wanting if problem is not None]
    sentences += [_method_sentence(inputs, name, found[name]) for name in ranked]
    sentences += [_pair_sentence(inputs, ranked[0], other) for other in ranked[1:]]
    sentences.append(_representatives(inputs) if len(inputs.seeds) > 1 else _ONE_SEED)
    return Verdict(_headline(inputs, found), sentences)


def _headline(inputs: ReportInputs, found: Mapping[str, Interval]) -> str:
    if no_verdict(inputs) is not None:
        return "No verdict: the judge is not right often enough to measure anything."
    better = [name for name, change in found.items() if change.rose]
    if not better:
        subject = f"{policy_label(next(iter(found)))} does not beat" if len(found) == 1 else "No method beats"
        return f"{subject} the SFT policy beyond chance."
    best, before = better[0], f"{inputs.sft.metrics.judge_score.mean:.2f}"
    change = f"judge score {_judge_score(inputs, best)} against {before}"
    tied = [name for name in found if name != best and not difference(inputs, best, name).rose]
    winners = [best, *(name for name in tied if name in better)]
    if len(winners) > 1:
        names = _listed([policy_label(name) for name in winners])
        scores = _listed([_judge_score(inputs, name) for name in winners])
        conclusion = "Neither is clearly better" if len(winners) == 2 else "None of them is clearly the best"
        return f"{names} beat SFT: judge score {scores} against {before}. {conclusion}."
    if tied or len(found) == 1:
        return f"{policy_label(best)} beats the SFT policy: {change}."
    return f"{policy_label(best)} scores highest: {change} for SFT."


def _judge_score(inputs: ReportInputs, name: str) -> str:
    """The mean over all seeds."""
    return f"{fmean(run.metrics.judge_score.mean for run in inputs.runs[name]):.2f}"


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def _method_sentence(inputs: ReportInputs, name: str, change: Interval) -> str:
    policy, sft = inputs.policies[name].metrics, inputs.sft.metrics
    wins, label = policy.win_rate_vs_sft, policy_label(name)
    result = f"{label} changed the judge score by {_with_interval(change)}, {over_words(inputs)}."
    if (again := second_sentence(inputs, name)) is not None:
        result += f" {again}"
    subject = f"Its run of seed {inputs.trained[name].seed}" if len(inputs.seeds) > 1 else "It"
    result += f" {subject} wins against SFT on {percent(wins.mean)} of the prompts"
    result += f" ({percent(wins.low)} to {percent(wins.high)})."
    price = f" It moved {max(policy.kl_nats_per_sequence, 0.0):.1f} nats per sequence away from SFT"
    if policy.perplexity_held_out is not None:
        price += f", held-out perplexity changed by {signed(100 * (perplexity_ratio(policy, sft) - 1), 1)} %"
    return f"{result}{price}."


def _with_interval(change: Interval) -> str:
    ends = f"{signed(change.low, 3)} to {signed(change.high, 3)}"
    return f"{signed(change.mean, 3)} (95 % interval {ends})"


def _pair_sentence(inputs: ReportInputs, first: str, second: str) -> str:
    found = difference(inputs, first, second)
    conclusion = "a clear difference" if found.rose or found.fell else "no clear difference"
    return (
        f"{policy_label(first)} minus {policy_label(second)}, prompt by prompt: judge score {_with_interval(found)}, "
        f"{over_words(inputs)}, {conclusion}.{_kl_clause(inputs, first, second)}"
    )


def _kl_clause(inputs: ReportInputs, first: str, second: str) -> str:
    """Which policy spent less KL, unless the difference may be chance."""
    found = difference(inputs, first, second, "kl_nats")
    if not (found.rose or found.fell):
        return " Their KL does not differ clearly."
    nearer, farther = (second, first) if found.rose else (first, second)
    near, far = (fmean(run.metrics.kl_nats_per_sequence for run in inputs.runs[name]) for name in (nearer, farther))
    return f" {policy_label(nearer)} stays closer to SFT ({near:.1f} against {far:.1f} nats)."


def _representatives(inputs: ReportInputs) -> str:
    """Which run stands for each method where there are several."""
    which = _listed([f"seed {run.seed} of {policy_label(name)}" for name, run in inputs.trained.items()])
    median = "the lower median" if len(inputs.seeds) % 2 == 0 else "the median"
    return (
        f"{len(inputs.seeds)} seeds were run. Gains and differences are over all of them; shown for each method is the "
        f"run with {median} judge score: {which}."
    )
