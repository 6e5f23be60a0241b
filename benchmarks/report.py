"""Results as files: results.json for programs, results.md for people."""

import json
from pathlib import Path
from typing import Any

COLUMNS = (
    ("workload", "workload"),
    ("method", "trained"),
    ("ours_tokens_per_s", "tokens/s"),
    ("peer_tokens_per_s", "TRL"),
    ("ratio_speed", "ratio"),
    ("ours_peak_mib", "peak MiB"),
    ("peer_peak_mib", "TRL"),
    ("ratio_memory", "ratio"),
    ("ours_loss", "loss"),
    ("peer_loss", "TRL"),
    ("ours_share_of_matmul_rate", "share of matmul rate"),
    ("peer_share_of_matmul_rate", "TRL"),
    ("peer_attention", "TRL's attention"),
)


def write_report(results: dict[str, Any], folder: Path) -> None:
    """Write both files and print the table."""
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    text = _markdown(results)
    (folder / "results.md").write_text(text)
    print(text)


def _markdown(results: dict[str, Any]) -> str:
    machine = results["machine"]
    rate = machine["matmul_gflops"]
    lines = [
        f"{machine['device']}, {machine['threads']} threads; matmul {rate['bf16']:.0f} GFLOP/s bf16, "
        f"{rate['fp32']:.0f} fp32 (large squares). torch {machine['torch']}, transformers {machine['transformers']}, "
        f"TRL {machine['trl']} (PPO: {machine['trl_ppo']}). Medians of {results['repeats']} alternating runs.",
        "",
        "| " + " | ".join(title for _, title in COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
    ]
    lines += ["| " + " | ".join(_cell(key, row.get(key)) for key, _ in COLUMNS) + " |" for row in results["rows"]]
    if results["scaling"]:
        lines += ["", *_scaling(results["scaling"])]
    return "\n".join(lines) + "\n"


def _scaling(points: list[dict[str, Any]]) -> list[str]:
    """How a DPO step grows, with this project's optimisations and without them."""
    plain = {point["point"]: point for point in points if point["optimisations"] == "off"}
    lines = ["| one DPO step | seconds | peak MiB | seconds, plain | peak MiB, plain |", "|---|---|---|---|---|"]
    for point in points:
        if point["optimisations"] == "on":
            off = plain[point["point"]]
            cells = (point["seconds"], point["peak_mib"], off["seconds"], off["peak_mib"])
            lines.append("| " + " | ".join([point["point"], *(f"{cell:,.2f}" for cell in cells)]) + " |")
    return lines


def _cell(key: str, value: Any) -> str:
    if value is None:  # there is no other side
        return "-"
    if isinstance(value, str):
        return value
    if key.endswith("loss"):
        return f"{value:.4f}"
    if "share" in key:
        return f"{value:.0%}"
    return f"{value:.2f}" if key.startswith("ratio") else f"{value:,.0f}"
