"""Kill `dvc repro` of a tiny project again and again, then compare with a run that nobody killed.

    python -m benchmarks.kills --kills 50

Every kill is SIGKILL to DVC and to the stage. A first run, undisturbed, measures where the time goes: how long each
stage works, and how many steps it trains. The kills are then spread over the stages by their time, with at least five
in each of SFT, reward model, DPO and PPO. In a stage that trains they fall on random steps, in others on random moments
after the start. What counts is `dvc.lock`: the hashes of every output of every stage.
"""

import argparse
import json
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.kill_plan import TRAINED, Moment, StageTime, plan_kills
from benchmarks.killed_repro import Hit, Repro, measure_stages
from pipeline.progress import progress_bar
from tests.tiny_project import create_tiny_project, edit_params

# as long in training as a stage needs to start, and a state every third step: a kill costs steps, too
_LONGER: dict[str, Any] = {
    "train_sft.num_train_epochs": 250,
    "train_reward.num_train_epochs": 60,
    "optimize.methods": ["dpo", "ppo"],
    "optimize.dpo.num_train_epochs": 40,
    "optimize.dpo.save_steps": 200,
    "optimize.ppo.total_episodes": 1536,
    "optimize.ppo.save_steps": 50,
    "resume.every_steps": 3,
}


def main() -> None:
    """Exit 1 when a byte is different, or a trained stage was not hit often enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3, help="whole runs that the kills are spread over")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = create_tiny_project(Path(folder))
        edit_params(root, _LONGER)
        times = measure_stages(root)
        expected = (root / "dvc.lock").read_text()
        waiting = plan_kills(times, kills=arguments.kills, runs=arguments.runs, rng=rng)
        hits: list[Hit] = []
        runs = 0
        with progress_bar(total=arguments.kills, title="kills", unit="kill") as bar:
            while waiting:
                if runs == 3 * arguments.runs:
                    raise SystemExit(f"{len(waiting)} kills came too late {runs} times: {waiting}")
                _start_over(root)
                done, missed = _whole_run(root, waiting[0], times, bar)
                hits += done
                waiting = [*waiting[1:], missed] if missed else waiting[1:]
                runs += 1
                if (root / "dvc.lock").read_text() != expected:
                    raise SystemExit("dvc.lock is different: a kill has changed a byte")
        _tell(hits, times, runs=runs, out=arguments.out)


def _whole_run(
    root: Path, moments: list[Moment], times: dict[str, StageTime], bar: Any
) -> tuple[list[Hit], list[Moment]]:
    """A run from nothing that is killed at each of these moments, in the order of the graph, and then ends.

    Returns:
        The kills, and the moments that it had passed before they could be.
    """
    hits, missed = [], []
    for moment in moments:
        hit = Repro(root).kill_at(moment, times)
        if hit is None:
            missed.append(moment)
            continue
        hits.append(hit)
        bar.update()
    Repro(root).finish()
    return [hit.followed(root) for hit in hits], missed


def _start_over(root: Path) -> None:
    """As a fresh clone: no outputs, no cache of runs."""
    (root / "dvc.lock").unlink()
    (root / Repro.LOG).unlink(missing_ok=True)
    for folder in ("artifacts", "reports", ".dvc/cache"):
        shutil.rmtree(root / folder)


def _tell(hits: list[Hit], times: dict[str, StageTime], *, runs: int, out: Path | None) -> None:
    """Print a row a stage; exit 1 when a trained stage has too few kills inside its training."""
    kills, inside = Counter(hit.stage for hit in hits), Counter(hit.stage for hit in hits if hit.step > 0)
    resumed = Counter(hit.stage for hit in hits if hit.resumed)
    rows = {
        stage: {
            "seconds": round(times[stage].seconds, 2),
            "steps": times[stage].steps,
            "kills": kills[stage],
            "inside_training": inside[stage],
            "resumed": resumed[stage],
        }
        for stage in times
    }
    print(f"{'stage':28} {'seconds':>8} {'steps':>6} {'kills':>6} {'inside training':>16} {'resumed':>8}")
    for stage, row in rows.items():
        print(f"{stage:28} {row['seconds']:8} {row['steps']:6} {row['kills']:6} {row['inside_training']:16}", end="")
        print(f" {row['resumed']:8}")
    total = {"kills": len(hits), "inside_training": inside.total(), "resumed": resumed.total(), "whole_runs": runs}
    print(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in total.items()) + ": same bytes")
    if out is not None:
        out.write_text(json.dumps({"total": total, "stages": rows}, indent=2) + "\n")
    if rare := [stage for stage in TRAINED if inside[stage] < min(5, len(hits) // 10)]:
        raise SystemExit(f"too few kills fell inside the training of {', '.join(rare)}")


if __name__ == "__main__":
    main()
