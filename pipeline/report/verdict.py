"""The result in words, computed from the numbers: what is better, by how much, and at what cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.formats import percent, signed
from pipeline.report.inputs import PolicyReport, ReportInputs
from pipeline.report.limits import perplexity_ratio
from pipeline.report.pairs import paired_difference
from pipeline.report.palette import policy_label


@dataclass(frozen=True)
class Verdict:
    """A headline and the sentences under it."""

    headline: str
    sentences: list[str]


def state_verdict(inputs: ReportInputs) -> Verdict:
    """Compare every method with SFT, and the best with the other methods, on the same prompts."""
    sft = inputs.sft
    differences = {name: paired_difference(inputs.policies[name].samples, sft.samples) for name in inputs.methods}
    ranked = sorted(inputs.methods, key=lambda name: (-inputs.policies[name].metrics.judge_score.mean, name))
    better = [name for name in ranked if differences[name].low > 0]
    sentences = [_method_sentence(inputs, name) for name in ranked]
    sentences += [_pair_sentence(inputs, ranked[0], other) for other in ranked[1:]]
    if len(inputs.seeds) > 1:
        sentences.append(_representatives(inputs))
    return Verdict(_headline(inputs, ranked, better), sentences)


def _headline(inputs: ReportInputs, ranked: Sequence[str], better: Sequence[str]) -> str:
    if not better:
        subject = f"{policy_label(ranked[0])} does not beat" if len(ranked) == 1 else "No method beats"
        return f"{subject} the SFT policy beyond chance."
    best = better[0]
    score, before = inputs.policies[best].metrics.judge_score.mean, inputs.sft.metrics.judge_score.mean
    change = f"judge score {score:.2f} against {before:.2f}"
    tied = [name for name in better[1:] if not _clearly_better(inputs, best, name)]
    if tied:
        winners = [best, *tied]
        names = _listed([policy_label(name) for name in winners])
        scores = _listed([f"{inputs.policies[name].metrics.judge_score.mean:.2f}" for name in winners])
        conclusion = "Neither is clearly better" if len(winners) == 2 else "None of them is clearly the best"
        return f"{names} beat SFT: judge score {scores} against {before:.2f}. {conclusion}."
    if len(ranked) == 1:
        return f"{policy_label(best)} beats the SFT policy: {change}."
    return f"{policy_label(best)} scores highest: {change} for SFT."


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def _clearly_better(inputs: ReportInputs, first: str, second: str) -> bool:
    return paired_difference(inputs.policies[first].samples, inputs.policies[second].samples).low > 0


def _method_sentence(inputs: ReportInputs, name: str) -> str:
    policy, sft = inputs.policies[name].metrics, inputs.sft.metrics
    gain, wins = policy.judge_score.mean - sft.judge_score.mean, policy.win_rate_vs_sft
    result = f"{policy_label(name)} changed the judge score by {signed(gain, 2)} and wins against SFT on "
    result += f"{percent(wins.mean)} of the prompts ({percent(wins.low)} to {percent(wins.high)})."
    price = f" It moved {policy.kl_nats_per_sequence:.1f} nats per sequence away from SFT"
    if policy.perplexity_held_out is not None:
        price += f", held-out perplexity changed by {signed(100 * (perplexity_ratio(policy, sft) - 1), 1)} %"
    return f"{result}{price}."


def _pair_sentence(inputs: ReportInputs, first: str, second: str) -> str:
    ours, theirs = inputs.policies[first], inputs.policies[second]
    difference = paired_difference(ours.samples, theirs.samples)
    interval = (
        f"{signed(difference.mean, 3)} (95 % interval {signed(difference.low, 3)} to {signed(difference.high, 3)})"
    )
    conclusion = "a clear difference" if difference.low > 0 else "no clear difference"
    return (
        f"{policy_label(first)} minus {policy_label(second)}, prompt by prompt: judge score {interval}, {conclusion}."
        f"{_kl_clause(ours, theirs)}"
    )


def _kl_clause(first: PolicyReport, second: PolicyReport) -> str:
    """Which policy paid less KL, unless their intervals overlap."""
    ours, theirs = first.metrics.kl_interval, second.metrics.kl_interval
    if ours.overlaps(theirs):
        return " Their KL does not differ clearly."
    nearer, farther = (second, first) if ours.above(theirs) else (first, second)
    near, far = nearer.metrics.kl_nats_per_sequence, farther.metrics.kl_nats_per_sequence
    return f" {policy_label(nearer.name)} stays closer to SFT ({near:.1f} against {far:.1f} nats)."


def _representatives(inputs: ReportInputs) -> str:
    """Which run stands for each method where there are several."""
    which = _listed([f"seed {run.seed} of {policy_label(name)}" for name, run in inputs.trained.items()])
    median = "the lower median" if len(inputs.seeds) % 2 == 0 else "the median"
    return f"{len(inputs.seeds)} seeds were run. Shown for each method is the run with {median} judge score: {which}."
