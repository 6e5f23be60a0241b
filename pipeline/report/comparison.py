"""The comparison of all policies as one dictionary with stable keys, and as a table for the terminal."""

from collections.abc import Mapping
from textwrap import fill
from typing import Any

from pipeline.params.schema import WriteReport
from pipeline.report.curves import overoptimization_entries
from pipeline.report.efficiency import kl_at_own_gain, kl_spent, spending_entries
from pipeline.report.flags import find_flags
from pipeline.report.inputs import PolicyReport, ReportInputs, TrainedPolicy
from pipeline.report.judges import gain_entries, judge_entries
from pipeline.report.pairs import compare_pairs, pair_entries
from pipeline.report.repair import repair_entries
from pipeline.report.seeds import seed_entries, seed_tables
from pipeline.results.document import Interval

TABLE_WIDTH = 110


def build_comparison(inputs: ReportInputs, params: WriteReport) -> dict[str, Any]:
    """All metrics that policies are compared by, and the flags.

    Costs are left out, as they differ from run to run: equal inputs and params give an equal result.

    Returns:
        `policies` by name (sft first), `judges` by kind (see `judge_entries`), `pairs`, `seeds` (empty with one),
        `overoptimization`, `kl_for_judge_score` (see `kl_spent`), `repair` (empty without hybrid), `reward_model`,
        `preferences`, and `flags`: a list of
        mappings with `policy` (and `seed`) or `subject`, `code`, `message` and perhaps `examples`.
    """
    reward, preferences = inputs.reward_metrics, inputs.preferences
    return {
        "policies": {name: _policy_entry(inputs, policy) for name, policy in inputs.policies.items()},
        "judges": judge_entries(inputs),
        "reward_model": {
            "accuracy": reward.accuracy.model_dump(),
            "longer_wins_accuracy": reward.longer_wins_accuracy,
            "initial_loss": inputs.histories["train_reward"][0].get("loss"),
            "expected_calibration_error": reward.expected_calibration_error,
        },
        "pairs": pair_entries(compare_pairs(inputs)),
        "seeds": seed_entries(seed_tables(inputs, params)),
        "overoptimization": overoptimization_entries(inputs),
        "kl_for_judge_score": spending_entries(kl_spent(inputs), kl_at_own_gain(inputs), inputs.methods),
        "repair": {run: [row.as_json() for row in rows] for run, rows in repair_entries(inputs).items()},
        "preferences": {
            "raw": preferences.raw,
            "accepted": preferences.accepted,
            "quarantined": preferences.quarantined,
        },
        "flags": [dict(flag) for flag in find_flags(inputs, params)],
    }


def _policy_entry(inputs: ReportInputs, policy: PolicyReport) -> dict[str, Any]:
    """All that was measured, and of a method the seed of the run and its `gains` by judge, over all seeds.

    The number of prompts is the same for all, and how the judge came to its verdicts is told with the judges.
    """
    measured = policy.metrics.model_dump(exclude={"evaluation_prompts", "judge_verdicts"})
    if not isinstance(policy, TrainedPolicy):
        return measured
    return {"seed": policy.seed, "gains": gain_entries(inputs, policy.name), **measured}


def comparison_table(comparison: dict[str, Any]) -> str:
    """The comparison as aligned plain text: a row for each policy, then the reward model and the flags."""
    header = ["policy", "judge score", "reward score", "win rate vs SFT", "KL (nats)", "perplexity", "distinct-2"]
    # what the others are compared with comes first, also when the file's keys were sorted
    policies = sorted(comparison["policies"].items(), key=lambda item: item[0] != "sft")
    rows = [header, *(_table_row(name, entry) for name, entry in policies)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["  ".join(_pad(cell, width, column) for column, (cell, width) in enumerate(zip(row, widths, strict=True)))
             for row in rows]  # fmt: skip
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in [*lines, "", _reward_line(comparison), *_flag_lines(comparison)])


def _table_row(name: str, entry: dict[str, Any]) -> list[str]:
    return [
        name,
        _interval(entry["judge_score"]),
        _interval(entry["reward_score"]),
        "-" if name == "sft" else _interval(entry["win_rate_vs_sft"]),
        f"{max(entry['kl_nats_per_sequence'], 0.0):.2f}",
        "-" if entry["perplexity_held_out"] is None else f"{entry['perplexity_held_out']:.1f}",
        f"{entry['distinct_2']:.3f}",
    ]


def _pad(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)


def _interval(value: dict[str, float]) -> str:
    interval = Interval.model_validate(value)
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _reward_line(comparison: dict[str, Any]) -> str:
    reward, pairs = comparison["reward_model"], comparison["preferences"]
    accuracy = (
        f"accuracy {_interval(reward['accuracy'])} on test pairs, longer wins {reward['longer_wins_accuracy']:.3f}"
    )
    return f"reward model: {accuracy}; preferences: {pairs['accepted']} of {pairs['raw']} pairs accepted"


def _flag_lines(comparison: dict[str, Any]) -> list[str]:
    if not comparison["flags"]:
        return ["flags: none"]
    texts = [f"{flag_subject(flag)}: {flag['code']}: {flag['message']}" for flag in comparison["flags"]]
    return ["flags:", *(fill(text, TABLE_WIDTH, initial_indent="  ", subsequent_indent="    ") for text in texts)]


def flag_subject(flag: Mapping[str, Any]) -> str:
    """What a flag of comparison.json is about: a policy, with its seed where several were run, or `preferences`."""
    seed = f", seed {flag['seed']}" if "seed" in flag else ""
    return f"{flag.get('policy', flag.get('subject'))}{seed}"
