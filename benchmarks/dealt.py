"""Processes with one core each beside one process with all of them, on what stages compute without training.

    python -m benchmarks.dealt [--processes 2] [--rounds 5] [--prompts 128] [--batch 32]

The default policy samples, the default reward model scores, and the policy gives log-probs of its own samples, with one
process of as many threads as there are cores, and with as many processes of one thread. All are loaded before anything
is timed, and then take turns, so that other work on the machine slows both alike; while one side works the other waits
without a core. Efficiency is the seconds of one process by those of several, and the same of the CPU seconds of all
processes of a side, which other work on the machine changes less. The results are compared, too.
"""

import argparse
import hashlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
_MODELS = ROOT / ".state" / "benchmarks" / "models"


def main() -> None:
    """Print a row for each kind of work, the seconds being medians of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32, help="prompts that one process samples at once (default 32)")
    parser.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp32"))
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work_when_told(arguments)
        return
    sys.path.insert(0, str(ROOT))
    from benchmarks.scale import device
    from benchmarks.workloads import WORKLOADS, prepare

    prepare([workload for workload in WORKLOADS if workload.name in ("reward-encoder", "sft")])
    print(f"{device()}, {arguments.precision}", flush=True)
    count = arguments.processes
    sides = {"one": start_side(1, count, arguments), "several": start_side(count, 1, arguments)}
    rounds = [{name: turn(side) for name, side in sides.items()} for _ in range(1 + arguments.rounds)]
    for process in [*sides["one"], *sides["several"]]:
        process.communicate("")
    print("\n".join(table(rounds[1:], count)))


def start_side(processes: int, threads: int, arguments: argparse.Namespace) -> list["subprocess.Popen[str]"]:
    """A side's processes, each on cores of its own, as torchrun would tell them who they are."""
    from pipeline.environment import ENVIRONMENT

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cores = sorted(os.sched_getaffinity(0))[: processes * threads]
    running = []
    for rank in range(processes):
        environment = {**ENVIRONMENT, **os.environ, "OMP_NUM_THREADS": str(threads)}
        if processes > 1:
            who = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
            environment |= {name: str(number) for name, number in who.items()}
            environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "benchmark"}
        own = ",".join(map(str, cores[rank * threads : (rank + 1) * threads]))
        numbers = {"--prompts": arguments.prompts, "--batch": arguments.batch, "--threads": threads}
        asked = [word for name, number in numbers.items() for word in (name, str(number))]
        asked += ["--precision", arguments.precision]
        command = ["taskset", "-c", own, sys.executable, "-m", "benchmarks.dealt", "--worker", *asked]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        running.append(subprocess.Popen(command, env=environment, cwd=ROOT, **pipes))
    return running


def turn(side: Sequence["subprocess.Popen[str]"]) -> dict[str, Any]:
    """Let the processes of a side do everything once.

    Returns:
        By kind of work the seconds of the first, the CPU seconds of all, and a hash of the results.

    Raises:
        SystemExit: one has failed.
    """
    for process in side:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    lines = [process.stdout.readline() for process in side if process.stdout]
    if not all(lines):
        sys.exit("a process has failed; its error is above")
    told = [json.loads(line) for line in lines]
    return {
        name: {**found, "cpu": sum(one[name]["cpu"] for one in told), "same": {one[name]["hash"] for one in told}}
        for name, found in told[0].items()
    }


def table(rounds: Sequence[dict[str, dict[str, Any]]], processes: int) -> list[str]:
    """A line of Markdown for each kind of work."""
    columns = ("", "one process, s", f"{processes} processes, s", "efficiency", "of CPU seconds", "the same bytes")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name in rounds[0]["one"]:
        pairs = [(turned["one"][name], turned["several"][name]) for turned in rounds]
        seconds = (f"{statistics.median(pair[side]['seconds'] for pair in pairs):.2f}" for side in (0, 1))
        same = len(set.union(*(found["same"] for pair in pairs for found in pair))) == 1
        shares = (_spread([one[key] / several[key] for one, several in pairs]) for key in ("seconds", "cpu"))
        lines.append(f"| {' | '.join((name, *seconds, *shares, 'yes' if same else 'no'))} |")
    return lines


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def work_when_told(asked: argparse.Namespace) -> None:
    """Do everything once for each line of the standard input, and print what it took."""
    works = load_works(asked.prompts, asked.batch, threads=asked.threads, precision=asked.precision)
    for _ in sys.stdin:
        found = {}
        for name, work in works.items():
            start, used = time.perf_counter(), time.process_time()
            results = work()
            seconds, cpu = time.perf_counter() - start, time.process_time() - used
            digest = hashlib.sha256(json.dumps(results).encode()).hexdigest()
            found[name] = {"seconds": seconds, "cpu": cpu, "hash": digest}
        print(json.dumps(found), flush=True)


def load_works(count: int, batch: int, *, threads: int, precision: str) -> dict[str, Callable[[], list[Any]]]:
    """By name, what is timed; what it returns is the same with any number of processes."""
    import torch

    from pipeline.data.passages import Passage
    from pipeline.models.chunked_sampling import sample_prompts
    from pipeline.models.compute import start_compute
    from pipeline.models.policy import load_policy, load_tokenizer
    from pipeline.models.reward_loading import load_reward_model
    from pipeline.models.sampling import Sampler
    from pipeline.models.scoring import score_responses
    from pipeline.params.loading import load_params

    params = load_params(ROOT / "params.yaml")
    compute = start_compute(params.runtime.model_copy(update={"threads": threads, "precision": precision}))
    tokenizer = load_tokenizer(_MODELS / "policy")
    policy = load_policy(_MODELS / "policy", compute, finetuning=None)
    reward_model = load_reward_model(_MODELS / "encoder-reward", compute, max_length=128)
    sampling = params.sampling.model_copy(update={"batch_size": batch})
    sampler = Sampler.of(policy, tokenizer, sampling)
    generator = torch.Generator().manual_seed(0)
    prompts = torch.randint(100, 5000, (count, 8), generator=generator).tolist()
    texts = [Passage(tokenizer.decode(prompt * (1 + row % 6)), True) for row, prompt in enumerate(4 * prompts)]
    with compute.accelerator.autocast():
        examples = [one.example for one in sample_prompts(sampler, prompts, key=0)]

    def sampled() -> list[Any]:
        with compute.accelerator.autocast():
            return [one.example.response_ids for one in sample_prompts(sampler, prompts, key=1)]

    def logps() -> list[Any]:
        pad, size = tokenizer.pad_token_id, params.score_reference.batch_size
        return score_responses(policy, examples, compute, pad_token_id=pad, batch_size=size, title="log-probs")

    def scores() -> list[Any]:
        return list(reward_model.score(texts, batch_size=params.evaluate_policy.batch_size).tolist())

    return {"samples": sampled, "scores": scores, "log-probs": logps}


if __name__ == "__main__":
    main()
