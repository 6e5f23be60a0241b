"""Does a process that trains on rows of all lengths grow? `python -m benchmarks.growth [--steps 100]`.

Trains adapters of the default policy on rows of 16 to 512 tokens, two a step, and prints the memory that the process
holds beyond files after some of the steps: it rises while the longest batches are met, and should then stay.
"""

import argparse
import json
import os
import platform
import random
import sys
import time
from pathlib import Path

from pipeline.environment import ENVIRONMENT

_SHOWN = (1, 5, 10, 20, 30, 40, 60, 80, 100, 150, 200)
_SHORTEST, _LONGEST = 16, 512
_BATCH = 2


def main() -> None:
    """Train, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="optimiser steps (default 100)")
    arguments = parser.parse_args()
    if missing := {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}:
        # the allocator reads them when a process starts
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.growth", *sys.argv[1:]], {**os.environ, **missing})
    print(json.dumps(measure(arguments.steps)), flush=True)


def measure(steps: int) -> dict[str, object]:
    """Resident MiB after some of the steps, and what the training took."""
    from benchmarks.ours import SEED, finetuning, schedule
    from benchmarks.run import device
    from benchmarks.workloads import ROOT, find, prepare
    from pipeline.data.tokens import TokenizedExample
    from pipeline.models.compute import start_compute
    from pipeline.models.policy import load_policy, load_tokenizer
    from pipeline.params.loading import load_params
    from pipeline.training.run import TrainingRun
    from pipeline.training.sft import train_sft

    prepare()
    workload, params = find("sft-lora"), load_params(ROOT / "params.yaml")
    tokenizer = load_tokenizer(workload.folder)
    rng = random.Random(SEED)

    def ids(count: int) -> list[int]:
        return rng.choices(range(100, len(tokenizer)), k=count)

    lengths = [rng.randint(_SHORTEST, _LONGEST) for _ in range(_BATCH * steps)]
    examples = [TokenizedExample(ids(length // 2), ids(length - length // 2)) for length in lengths]
    compute = start_compute(params.runtime)
    policy = load_policy(workload.folder, compute, finetuning=finetuning(workload))
    settings = params.train_sft.model_copy(update={**schedule(workload), "per_device_train_batch_size": _BATCH})
    resident: dict[int, int] = {}

    def look(step: int, metrics: dict[str, float]) -> None:
        if step in _SHOWN or step == steps:
            resident[step] = _anonymous_mib()

    start, used = time.perf_counter(), time.process_time()
    run = TrainingRun(compute, SEED, on_step=look)
    train_sft(policy, examples, settings, run, pad_token_id=tokenizer.pad_token_id)
    return {
        "resident_mib": resident,
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - used, 1),
        "threads": compute.threads,
        "device": device(),
        "python": platform.python_version(),
    }


def _anonymous_mib() -> int:
    """What the process holds that is no page of a file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) >> 10


if __name__ == "__main__":
    main()
