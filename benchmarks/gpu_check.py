"""Everything that only a GPU can show, in under ten minutes, as one table: `python -m benchmarks.gpu_check`.

Determinism twice from one seed; rollouts beside plain `generate`; DPO, PPO, SFT and a reward model of 1B random weights
at real lengths, their peaks beside the planner's estimates; tokens a second and peaks beside TRL. A part that fails or
has no time left is a row that says so. `--device cpu --small` runs the same code on tiny models: its figures mean
nothing.
"""

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_parts import FOLDER, PARTS, Row, Scale, worker
from benchmarks.workloads import ROOT

RESULTS = ROOT / "benchmarks" / "results"
MINUTES = 9.5
_SMALL = ("models", "rollouts-fp32", "rollouts-bf16", "determinism", "train-dpo", "train-ppo", "trl-dpo")
"""What tiny models show: that every kind of part runs."""

Runner = Callable[[str, Scale, float], list[dict[str, Any]]]
"""A part, and the seconds it has, to its rows."""


def main(arguments: Sequence[str] | None = None, *, runner: Runner | None = None) -> None:
    """Run the parts and write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny models: whether the code runs, and nothing more")
    parser.add_argument("--only", nargs="*", choices=tuple(PARTS), metavar="PART", help="some of: " + ", ".join(PARTS))
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"for all parts together (default {MINUTES})")
    parser.add_argument("--out", type=Path, help="the table (default: benchmarks/results/DEVICE.md)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where models are kept")
    asked = parser.parse_args(arguments)
    if asked.device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "No GPU was found, so nothing was checked: run this where torch sees one, or with --device cpu --small."
        )
    scale = Scale(asked.device, asked.small, asked.folder)
    parts = asked.only or (_SMALL if asked.small else tuple(PARTS))
    rows = run_parts(parts, scale, seconds=60 * asked.minutes, runner=runner or _in_a_process)
    out = asked.out or RESULTS / f"{_file_name(scale)}.md"
    out.parent.mkdir(parents=True, exist_ok=True)
    text = table(rows, scale)
    out.write_text(text)
    print(text)


def run_parts(parts: Sequence[str], scale: Scale, *, seconds: float, runner: Runner) -> list[Row]:
    """The rows of all parts; one for a part that failed or had no time."""
    end, rows = time.monotonic() + seconds, []
    for part in parts:
        start = time.monotonic()
        left = end - start
        try:
            if left <= 0:
                raise TimeoutError("not run: no time was left")
            rows += [Row(**row) for row in runner(part, scale, left)]
        except subprocess.TimeoutExpired:
            rows.append(Row(part, "", f"FAILED: stopped after {left:.0f} s, when the time was over"))
        except TimeoutError as error:
            rows.append(Row(part, "", str(error)))
        except Exception as error:  # whatever it is, the other parts go on
            rows.append(Row(part, "", f"FAILED: {error}".replace("|", "/").replace("\n", " ")))
        print(f"{part}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return rows


def _in_a_process(part: str, scale: Scale, seconds: float) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = worker(part, scale, seconds=seconds)
    return found


def table(rows: Sequence[Row], scale: Scale) -> str:
    """Markdown, with the machine it is of."""
    name = device_name(scale.device)
    lines = [f"# {name}", "", f"{name}; {_software(scale.device)}. Models have random weights."]
    if scale.device == "cpu" or scale.small:
        lines += ["", "**Tiny models or a CPU**: this shows that the check runs. Its figures say nothing of a GPU."]
    lines += ["", "| part | what | measured | beside | verdict or ratio |", "|---|---|---|---|---|"]
    lines += [f"| {row.part} | {row.what} | {row.measured} | {row.beside} | {row.verdict} |" for row in rows]
    return "\n".join(lines) + "\n"


def device_name(device: str) -> str:
    """Of the GPU, or that it is a CPU."""
    return torch.cuda.get_device_name() if device == "cuda" else f"cpu ({platform.machine()})"


def _file_name(scale: Scale) -> str:
    name = device_name("cuda").lower().replace(" ", "-").replace("/", "-") if scale.device == "cuda" else "cpu"
    return f"{name}-small" if scale.small else name


def _software(device: str) -> str:
    named = {"torch": str(torch.__version__)}
    if device == "cuda":
        named |= {"CUDA": str(torch.version.cuda), "memory": f"{torch.cuda.mem_get_info()[1] / 2**30:.0f} GiB"}
    for package in ("transformers", "peft", "trl", "triton"):
        try:
            named[package] = version(package)
        except PackageNotFoundError:
            named[package] = "none"
    return ", ".join(f"{name} {value}" for name, value in named.items())


if __name__ == "__main__":
    main()
