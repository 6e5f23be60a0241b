"""The comparison of all policies as one dictionary with stable keys, and as a table for the terminal."""

from textwrap import fill

from pipeline.params.schema import WriteReport
from pipeline.report.curves import overoptimization_entries
from pipeline.report.efficiency import kl_at_own_gain, kl_spent, spending_entries
from pipeline.report.flags import find_flags
from pipeline.report.inputs import PolicyReport, ReportInputs, TrainedPolicy
from pipeline.report.judges import gain_entries, judge_entries
from pipeline.report.pairs import compare_pairs, pair_entries
from pipeline.report.repair import repair_entries
from pipeline.report.seeds import seed_entries, seed_tables
from pipeline.results.comparison import (
    ComparedMethod,
    ComparedPolicy,
    Comparison,
    Flag,
    PairCounts,
    RewardModelInUse,
)
from pipeline.results.document import Interval
from pipeline.results.policies import PolicyFigures

TABLE_WIDTH = 110


def build_comparison(inputs: ReportInputs, params: WriteReport) -> Comparison:
    """All metrics that policies are compared by, and the flags; equal inputs and params give an equal result."""
    reward, preferences = inputs.reward_metrics, inputs.preferences
    return Comparison(
        policies={name: _policy_entry(inputs, policy) for name, policy in inputs.policies.items()},
        judges=judge_entries(inputs),
        reward_model=RewardModelInUse(
            accuracy=reward.accuracy,
            longer_wins_accuracy=reward.longer_wins_accuracy,
            initial_loss=inputs.histories["train_reward"][0].get("loss"),
            expected_calibration_error=reward.expected_calibration_error,
        ),
        pairs=pair_entries(compare_pairs(inputs)),
        seeds=seed_entries(seed_tables(inputs, params)),
        overoptimization=overoptimization_entries(inputs),
        kl_for_judge_score=spending_entries(kl_spent(inputs), kl_at_own_gain(inputs), inputs.methods),
        repair=repair_entries(inputs),
        preferences=PairCounts(raw=preferences.raw, accepted=preferences.accepted, quarantined=preferences.quarantined),
        flags=find_flags(inputs, params),
    )


def _policy_entry(inputs: ReportInputs, policy: PolicyReport) -> ComparedMethod | ComparedPolicy:
    """Everything that was measured of a policy; for a method also the seed of its run, and its gains over all seeds.

    Left out are the number of prompts, which all policies share, and how the judge came to its verdicts, which is
    with the judges.
    """
    measured = policy.metrics.as_fields()
    figures = {name: measured[name] for name in PolicyFigures.model_fields}
    if not isinstance(policy, TrainedPolicy):
        return ComparedPolicy(**figures)
    metrics = policy.metrics
    return ComparedMethod(
        **figures,
        seed=policy.seed,
        gains=gain_entries(inputs, policy.name),
        selected_step=metrics.selected_step,
        last_step=metrics.last_step,
        last=metrics.last,
    )


def comparison_table(comparison: Comparison) -> str:
    """The comparison as aligned plain text: a row for each policy, then the reward model and the flags."""
    header = ["policy", "judge score", "reward score", "win rate vs SFT", "KL (nats)", "perplexity", "distinct-2"]
    # what the others are compared with comes first, also when the file's keys were sorted
    policies = sorted(comparison.policies.items(), key=lambda item: item[0] != "sft")
    rows = [header, *(_table_row(name, entry) for name, entry in policies)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["  ".join(_pad(cell, width, column) for column, (cell, width) in enumerate(zip(row, widths, strict=True)))
             for row in rows]  # fmt: skip
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in [*lines, "", _reward_line(comparison), *_flag_lines(comparison)])


def _table_row(name: str, entry: ComparedPolicy) -> list[str]:
    return [
        name,
        _interval(entry.judge_score),
        _interval(entry.reward_score),
        "-" if name == "sft" else _interval(entry.win_rate_vs_sft),
        f"{max(entry.kl_nats_per_sequence, 0.0):.2f}",
        "-" if entry.perplexity_held_out is None else f"{entry.perplexity_held_out:.1f}",
        f"{entry.distinct_2:.3f}",
    ]


def _pad(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)


def _interval(interval: Interval) -> str:
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _reward_line(comparison: Comparison) -> str:
    reward, pairs = comparison.reward_model, comparison.preferences
    accuracy = f"accuracy {_interval(reward.accuracy)} on test pairs, longer wins {reward.longer_wins_accuracy:.3f}"
    return f"reward model: {accuracy}; preferences: {pairs.accepted} of {pairs.raw} pairs accepted"


def _flag_lines(comparison: Comparison) -> list[str]:
    if not comparison.flags:
        return ["flags: none"]
    texts = [f"{flag_subject(flag)}: {flag.code}: {flag.message}" for flag in comparison.flags]
    return ["flags:", *(fill(text, TABLE_WIDTH, initial_indent="  ", subsequent_indent="    ") for text in texts)]


def flag_subject(flag: Flag) -> str:
    """What a flag is about: a policy, with its seed where several were run, or `preferences`."""
    seed = "" if flag.seed is None else f", seed {flag.seed}"
    return f"{flag.policy or flag.subject}{seed}"
