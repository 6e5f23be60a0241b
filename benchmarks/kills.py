"""Kill `dvc repro` of a tiny project again and again, then compare with a run that nobody killed.

    python -m benchmarks.kills --kills 50

Every kill is SIGKILL to DVC and to the stage at a random moment of the whole graph. What counts is `dvc.lock`: the
hashes of every output of every stage.
"""

import argparse
import os
import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from pipeline.progress import progress_bar
from tests.tiny_project import create_tiny_project, edit_params

# a stage takes five seconds to start: as long again for training, where there is a state to go on from
_LONGER: dict[str, Any] = {
    "train_sft.num_train_epochs": 250,
    "train_reward.num_train_epochs": 60,
    "optimize.methods": ["dpo", "ppo"],
    "optimize.dpo.num_train_epochs": 40,
    "optimize.dpo.save_steps": 200,
    "optimize.ppo.total_episodes": 800,
    "optimize.ppo.save_steps": 50,
}


def main() -> None:
    """Exit 1 when a byte is different."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = create_tiny_project(Path(folder))
        edit_params(root, _LONGER)
        start = time.monotonic()
        if _repro(root, seconds=None) != 0:
            raise SystemExit("the run that nobody kills failed")
        whole = time.monotonic() - start
        expected = (root / "dvc.lock").read_text()
        killed, finished, resumed = 0, 0, 0
        _start_over(root)
        with progress_bar(total=arguments.kills, title="kills", unit="kill") as bar:
            while killed < arguments.kills:
                # long enough to end the stage that the last kill hit, so that every run comes to its end
                code = _repro(root, seconds=rng.uniform(0.08, 0.22) * whole)
                if code is None:
                    killed += 1
                    bar.update()
                    continue
                _compare(root, expected, code)
                finished += 1
                resumed += _resumed(root)
                bar.set_postfix(whole_runs=finished, resumed=resumed)
                _start_over(root)
        code = _repro(root, seconds=None)
        _compare(root, expected, code)
        resumed += _resumed(root)
        print(f"{killed} kills over {finished + 1} whole runs, {resumed} stages went on from a state: same bytes")


def _repro(root: Path, *, seconds: float | None) -> int | None:
    """Exit code of `dvc repro`, None when it was killed after some seconds."""
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    with (root / ".state.log").open("a") as log:
        process = subprocess.Popen(
            ["dvc", "repro"], cwd=root, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None


def _start_over(root: Path) -> None:
    """As a fresh clone: no outputs, no cache of runs."""
    (root / "dvc.lock").unlink()
    (root / ".state.log").unlink(missing_ok=True)
    for folder in ("artifacts", "reports", ".dvc/cache"):
        subprocess.run(["rm", "-rf", str(root / folder)], check=True)


def _compare(root: Path, expected: str, code: int | None) -> None:
    if code != 0:
        raise SystemExit(f"dvc repro ended with {code}:\n{(root / '.state.log').read_text()[-4000:]}")
    if (root / "dvc.lock").read_text() != expected:
        raise SystemExit("dvc.lock is different: a kill has changed a byte")


def _resumed(root: Path) -> int:
    return (root / ".state.log").read_text().count("resumes from the state")


if __name__ == "__main__":
    main()
