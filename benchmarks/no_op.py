"""What DVC takes to see that nothing is to be done: `python -m benchmarks.no_op --seeds 1 20 --gigabytes 0.3 8`.

The graph is that of this project with so many seeds; its outputs are made up, with weights of so many bytes, and
committed as if the stages had written them. Nothing is trained.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.scale import ROOT, device

_COPIED = ("pipeline", "stages", "data", ".dvc/config", "dvc.yaml", "params.yaml", "reports/headline.json", "README.md")
_FILES = ("requirements.txt", "requirements-embedded.txt", ".gitignore", ".dvcignore", "Makefile")
_WHOLE = ("artifacts/models/policy", "artifacts/release")
_COMMANDS = (("status",), ("repro",))
_BLOCK = 2**20


def main() -> None:
    """Print a row for each combination, the seconds being medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 20], help="optimize.seeds: how many")
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.3, 8.0], help="of the weights of a policy")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=ROOT / ".state/benchmarks", help="four times as much is written")
    arguments = parser.parse_args()
    print(device(), flush=True)
    columns = ("seeds", "stages", "weights, GB", "first dvc status, s", "dvc status, s", "dvc repro, s")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for seeds, gigabytes in product(arguments.seeds, arguments.gigabytes):
        arguments.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            print(measure(Path(folder), seeds, gigabytes, arguments.repeats), flush=True)


def measure(root: Path, seeds: int, gigabytes: float, repeats: int) -> str:
    """A row of the table, of a new project in an empty folder."""
    create_project(root, seeds)
    stages = write_outputs(root, round(gigabytes * 1e9))
    run(root, "commit", "--force")
    first = run(root, "status")
    medians = [statistics.median(run(root, *command) for _ in range(repeats)) for command in _COMMANDS]
    cells = [str(seeds), str(stages), f"{gigabytes:g}", *(f"{seconds:.1f}" for seconds in (first, *medians))]
    return f"| {' | '.join(cells)} |"


def create_project(root: Path, seeds: int) -> None:
    """A copy of the project's code, data and parameters, with other seeds."""
    for name in (*_COPIED, *_FILES):
        source, target = ROOT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    yaml = YAML()
    values = yaml.load(root / "params.yaml")
    values["optimize"]["seeds"] = list(range(seeds))
    yaml.dump(values, root / "params.yaml")
    config = (root / ".dvc/config").read_bytes()
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q", "-f"]):
        subprocess.run(command, cwd=root, check=True, capture_output=True)
    (root / ".dvc/config").write_bytes(config)


def write_outputs(root: Path, weights: int) -> int:
    """Something in the place of every output, and of what others read inside it; returns how many stages there are."""
    from dvc.repo import Repo

    stages = list(Repo(str(root)).index.stages)
    outs = [Path(out.fs_path) for stage in stages for out in stage.outs]
    read = {Path(dep.fs_path) for stage in stages for dep in stage.deps}
    inside = {path for path in read for out in outs if path != out and path.is_relative_to(out)}
    for number, path in enumerate(sorted({*outs, *inside})):
        content = f"output {number}\n".encode()
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            continue
        path.mkdir(parents=True, exist_ok=True)
        (path / "tokenizer.json").write_bytes(content)
        (path / "adapter_model.safetensors").write_bytes(content)
        if path.relative_to(root.resolve()).as_posix() in _WHOLE:
            for name in ("one", "two", "three") if path.name == "release" else ("one",):
                write_large(path / f"{name}.safetensors", weights, content)
    return len(stages)


def write_large(path: Path, size: int, content: bytes) -> None:
    """A file that no disk stores as a hole."""
    block = os.urandom(_BLOCK)
    with path.open("wb") as stream:
        stream.write(content)
        for _ in range(size // _BLOCK):
            stream.write(block)


def run(root: Path, *command: str) -> float:
    """Seconds of a command of DVC.

    Raises:
        RuntimeError: it found something to do, or failed.
    """
    environment = {**os.environ, "DVC_NO_ANALYTICS": "true"}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *command], cwd=root, capture_output=True, text=True, check=False, env=environment
    )
    seconds = time.perf_counter() - start
    clean = "up to date" in done.stdout if command[0] == "status" else "Running stage" not in done.stdout
    if done.returncode or not clean:
        raise RuntimeError(f"dvc {' '.join(command)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds


if __name__ == "__main__":
    main()
