"""How long stages take to begin, warm and cold: `python -m benchmarks.startup [--repeats 5] [--repro]`.

In a tiny project that has been run once, each stage is started as `make repro` starts it, with a process that waits
for it, and as `dvc repro` does, alternately. Counted are the seconds from the start of `python -m pipeline.launch`
until the stage is at work and until it has ended. With tensors it is at work when it names its device, for which its
libraries are there; without, when it names its inputs. `--repro` runs the whole project from nothing as well, both
ways.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.scale import ROOT, device
from pipeline.warm.starting import waiting_process

STAGES = (
    ("fetch_models",), ("train_sft",), ("validate_preferences",), ("score_reference",), ("train_reward",),
    ("train_ppo", "0"), ("evaluate_policy", "ppo", "0"), ("write_report",),
)  # fmt: skip
_TENSORS, _PLAIN = "  device", "▶"
_WITHOUT_TENSORS = ("validate_preferences", "write_report")
_WAYS = ("warm", "cold")


def main() -> None:
    """Print a row for each stage, the seconds being medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="STAGE", help="some of: " + ", ".join(s[0] for s in STAGES))
    parser.add_argument("--repro", action="store_true", help="whole runs, too")
    parser.add_argument("--folder", type=Path, default=ROOT / ".state/benchmarks", help="the project lies below it")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as the Makefile does
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        root = Path(folder, "project")
        create_project(root)
        print(device(), flush=True)
        compare_runs(root, again=arguments.repro)
        stages = [stage for stage in STAGES if not arguments.only or stage[0] in arguments.only]
        compare_stages(root, stages, arguments.repeats)


def create_project(root: Path) -> None:
    """The tiny project of the tests."""
    code = (
        "import sys; from pathlib import Path; from tests.tiny_project import *; create_tiny_project(Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(root)], cwd=ROOT, check=True, capture_output=True)


def compare_runs(root: Path, *, again: bool) -> None:
    """A whole run, warm; with `again` a second one from nothing, cold."""
    for way in _WAYS[: 1 + again]:
        for kept in ("dvc.lock", "artifacts", "reports", ".state", ".dvc/cache", ".dvc/tmp", "mlflow.db"):
            path = root / kept
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        command = ["dvc", "repro"] if way == "cold" else [sys.executable, "-m", "pipeline.warm", "dvc", "repro"]
        start = time.perf_counter()
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
        begun = done.stdout.count("Running stage")
        print(f"a whole run, {way}: {begun} stages in {time.perf_counter() - start:.1f} s", flush=True)


def compare_stages(root: Path, stages: Sequence[tuple[str, ...]], repeats: int) -> None:
    """A row for each stage: until it is at work, and until it has ended."""
    columns = ("stage", "at work warm, s", "cold, s", "ended warm, s", "cold, s")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    with waiting_process(root, os.environ) as waiting:
        paths = {"warm": waiting.path(os.environ["PATH"]), "cold": os.environ["PATH"]}
        measure(root, stages[0], paths["warm"])  # until the libraries are there
        for stage in stages:
            seconds = {way: [] for way in _WAYS}  # type: dict[str, list[tuple[float, float]]]
            for repeat in range(repeats):
                for way in _WAYS[:: 1 if repeat % 2 else -1]:
                    seconds[way].append(measure(root, stage, paths[way]))
            medians = [
                f"{statistics.median(pair[part] for pair in seconds[way]):.1f}" for part in (0, 1) for way in _WAYS
            ]
            print(f"| `{' '.join(stage)}` | {' | '.join(medians)} |", flush=True)
        if reason := waiting.failure():
            sys.exit(f"not all were warm: {reason}")


def measure(root: Path, stage: tuple[str, ...], path: str) -> tuple[float, float]:
    """Seconds until a stage is at work, and until it has ended.

    Raises:
        RuntimeError: it failed.
    """
    sign = _PLAIN if stage[0] in _WITHOUT_TENSORS else _TENSORS
    start = time.perf_counter()
    command = ["python", "-m", "pipeline.launch", *stage]
    with subprocess.Popen(
        ["sh", "-c", 'exec "$@"', "sh", *command],  # which looks for `python` on the PATH of the stage
        cwd=root, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        at_work = next((time.perf_counter() for line in process.stdout if line.startswith(sign)), None)
        for _ in process.stdout:
            pass
    if process.returncode or at_work is None:
        raise RuntimeError(f"{' '.join(stage)} ended with {process.returncode}")
    return at_work - start, time.perf_counter() - start


if __name__ == "__main__":
    main()
