"""Results of benchmarks for the terminal; shares in percent, as the leaderboards show them."""

from collections.abc import Mapping
from typing import Any


def as_text(benchmark: str, result: Mapping[str, Any]) -> str:
    """The result of a benchmark as aligned plain text."""
    return rewardbench_text(result) if benchmark == "rewardbench" else alpacaeval_text(result)


def rewardbench_text(result: Mapping[str, Any]) -> str:
    """Overall score, sections, subsets, and what is in no score."""
    lines = [
        f"RewardBench of {result['model']} ({result['text']} texts): {result['examples']} pairs, {result['ties']} ties",
        "",
        f"{'score':<24}{_percent(result['overall'])}",
        *(f"{name:<24}{_percent(score)}" for name, score in result["sections"].items()),
        f"{'Prior Sets (0.5 weight)':<24}{_percent(result['prior_sets'])}",
        "",
        *(_subset_line(name, entry) for name, entry in result["subsets"].items()),
    ]
    if result["missing_subsets"]:
        lines += ["", f"not in the file, so no published score compares: {', '.join(result['missing_subsets'])}"]
    if result["other_subsets"]:
        others = ", ".join(f"{name} ({count})" for name, count in result["other_subsets"].items())
        lines += ["", f"in no section: {others}"]
    return "\n".join(lines)


def _subset_line(name: str, entry: Mapping[str, Any]) -> str:
    interval = entry["accuracy"]
    ends = f"[{100 * interval['low']:.1f}, {100 * interval['high']:.1f}]"
    return (
        f"{name:<24}{_percent(interval['mean'])}  {ends:<14}  {entry['examples']:>5} pairs  {entry['section'] or '-'}"
    )


def alpacaeval_text(result: Mapping[str, Any]) -> str:
    """Win rates and counts, and what was left out."""
    controlled = result["length_controlled_winrate"]
    lines = [
        f"AlpacaEval of {result['model']} against {result['baseline']}, judged by {result['annotator']}",
        "",
        f"{'length_controlled_winrate':<28}{_number(controlled)}  ({result['glm_name']})",
        *(f"{key:<28}{_number(result[key])}" for key in ("win_rate", "standard_error", "discrete_win_rate")),
        *(f"{key:<28}{result[key]}" for key in ("n_wins", "n_wins_base", "n_draws", "n_total", "n_dropped")),
    ]
    left_out = {key: result[key] for key in ("n_unmatched_outputs", "n_unmatched_baseline") if result.get(key)}
    return "\n".join([*lines, *(f"{key:<28}{count}" for key, count in left_out.items())])


def _percent(share: float | None) -> str:
    return "    -" if share is None else f"{100 * share:5.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
