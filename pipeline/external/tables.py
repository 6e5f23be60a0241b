"""Results of benchmarks for the terminal; shares in percent, as the leaderboards show them."""

from pipeline.external.alpacaeval import AlpacaEvalResult
from pipeline.external.rewardbench import RewardBenchResult, SubsetScore


def rewardbench_text(result: RewardBenchResult) -> str:
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


def _subset_line(name: str, entry: SubsetScore) -> str:
    interval = entry["accuracy"]
    ends = f"[{100 * interval['low']:.1f}, {100 * interval['high']:.1f}]"
    return (
        f"{name:<24}{_percent(interval['mean'])}  {ends:<14}  {entry['examples']:>5} pairs  {entry['section'] or '-'}"
    )


def alpacaeval_text(result: AlpacaEvalResult) -> str:
    """Win rates and counts, and what was left out."""
    controlled = result["length_controlled_winrate"]
    unmatched = {
        "n_unmatched_outputs": result.get("n_unmatched_outputs"),
        "n_unmatched_baseline": result.get("n_unmatched_baseline"),
    }
    lines = [
        f"AlpacaEval of {result['model']} against {result['baseline']}, judged by {result['annotator']}",
        "",
        f"{'length_controlled_winrate':<28}{_number(controlled)}  ({result['glm_name']})",
        f"{'win_rate':<28}{_number(result['win_rate'])}",
        f"{'standard_error':<28}{_number(result['standard_error'])}",
        f"{'discrete_win_rate':<28}{_number(result['discrete_win_rate'])}",
        f"{'n_wins':<28}{result['n_wins']}",
        f"{'n_wins_base':<28}{result['n_wins_base']}",
        f"{'n_draws':<28}{result['n_draws']}",
        f"{'n_total':<28}{result['n_total']}",
        f"{'n_dropped':<28}{result['n_dropped']}",
    ]
    return "\n".join([*lines, *(f"{key:<28}{count}" for key, count in unmatched.items() if count)])


def _percent(share: float | None) -> str:
    return "    -" if share is None else f"{100 * share:5.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
