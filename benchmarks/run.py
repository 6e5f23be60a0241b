"""Both sides of every workload, alternately, and the table of their ratios: `python -m benchmarks.run --help`."""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from benchmarks.measuring import MatmulRate, matmul_rate
from benchmarks.report import write_report
from benchmarks.scaling import POINTS
from benchmarks.workloads import PPO_EPOCHS, ROOT, WORK, WORKLOADS, Workload, prepare
from pipeline.environment import ENVIRONMENT

PEERS = WORK / "trl-1.12"
"""TRL 1.12, the last that had PPO, beside the current release of the environment."""
_FLASH = ("flash_attention_2",) if find_spec("flash_attn") else ()
PEER_ATTENTION = ("sdpa", *_FLASH) if torch.cuda.is_available() else ("sdpa", "eager")
"""The peer's default, and beside it flash attention where it is installed on a GPU, or plain matrix products, often
faster on a CPU: it is measured with its faster one."""


def main() -> None:
    """Run what was asked for, write results.json and results.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", nargs="*", metavar="WORKLOAD", help="some of: " + ", ".join(w.name for w in WORKLOADS)
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side (default 3); medians are reported")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks", help="folder of results.json and results.md")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    prepare()
    chosen = [w for w in WORKLOADS if not arguments.only or w.name in arguments.only]
    if any(workload.task == "ppo" and workload.has_peer for workload in chosen):
        install_ppo_peer()
    rate = matmul_rate()
    rows = [compare(workload, arguments.repeats, rate) for workload in chosen]
    results = {
        "machine": _machine(rate),
        "repeats": arguments.repeats,
        "rows": rows,
        "scaling": [] if arguments.only else _scaling(),
    }
    write_report(results, arguments.out)


def compare(workload: Workload, repeats: int, rate: MatmulRate) -> dict[str, Any]:
    """Ours, then the peer with each attention; from then on the faster one, alternately with ours.

    Alternately, so that a machine that slows down slows both; the side that begins changes.
    """
    if not workload.has_peer:
        alone = [_run("ours", workload) for _ in range(repeats)]
        return {**_what(workload), **_side("ours", workload, alone, rate)}
    ours = [_run("ours", workload)]
    how = ["recomputed"] if workload.is_large else []
    found = {attention: _try_peer(workload, attention, *how) for attention in PEER_ATTENTION}
    tried = {attention: result for attention, result in found.items() if result}
    if not tried:
        sys.exit(f"{workload.name}: the peer runs out of memory with {' and with '.join(PEER_ATTENTION)}")
    best = max(tried, key=lambda attention: tried[attention]["tokens_per_s"])
    peer = [tried[best]]
    for repeat in range(1, repeats):
        for side in ("ours", "peer") if repeat % 2 == 0 else ("peer", "ours"):
            (ours if side == "ours" else peer).append(_run(side, workload, best, *how))
    if workload.task != "ppo" and ours[0]["total_tokens"] != peer[0]["total_tokens"]:
        sys.exit(f"{workload.name}: the sides saw {ours[0]['total_tokens']} and {peer[0]['total_tokens']} tokens")
    speeds = {attention: result["tokens_per_s"] for attention, result in tried.items()}
    row = {**_row(workload, ours, peer, rate), "peer_attention": best, "peer_tokens_per_s_by_attention": speeds}
    return row | (_smallest_peak(workload, row, tried) if workload.is_long else {})


def _smallest_peak(workload: Workload, row: dict[str, Any], tried: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Long rows are about memory: the peer's smallest peak counts, with its gradient checkpointing as well."""
    peaks = {f"{attention}, kept": result["peak_mib"] for attention, result in tried.items()}
    for attention in PEER_ATTENTION:
        if result := _try_peer(workload, attention, "recomputed", plain=True):
            peaks[f"{attention}, recomputed"] = result["peak_mib"]
    smallest = min(peaks.values())
    return {
        "peer_peak_mib": smallest,
        "ratio_memory": row["ours_peak_mib"] / smallest,
        "peer_peak_mib_by_settings": peaks,
    }


def _row(
    workload: Workload, ours: Sequence[dict[str, float]], peer: Sequence[dict[str, float]], rate: MatmulRate
) -> dict[str, Any]:
    ratios = [a["samples_per_s"] / b["samples_per_s"] for a, b in zip(ours, peer, strict=True)]
    row: dict[str, Any] = {
        **_what(workload),
        **_side("ours", workload, ours, rate),
        **_side("peer", workload, peer, rate),
    }
    return row | {
        "ratio_speed": statistics.median(ratios),
        "ratio_speed_of_each_repeat": ratios,
        "ratio_memory": row["ours_peak_mib"] / row["peer_peak_mib"],
    }


def _what(workload: Workload) -> dict[str, str]:
    return {
        "task": workload.task,
        "workload": workload.name,
        "method": workload.method,
        "dtype": "bf16" if workload.method == "lora" else "fp32 weights, bf16 compute",
        "device": device(),
    }


def _side(name: str, workload: Workload, runs: Sequence[dict[str, float]], rate: MatmulRate) -> dict[str, float]:
    """Medians of the runs of one side."""

    def median(key: str) -> float:
        return statistics.median(run[key] for run in runs)

    keys = ("tokens_per_s", "samples_per_s", "peak_mib", "loss")
    share = median("samples_per_s") * _flops_per_sample(workload, runs[0]) / rate.bf16 / 1e9
    return {**{f"{name}_{key}": median(key) for key in keys}, f"{name}_share_of_matmul_rate": share}


def _run(side: str, workload: Workload, attention: str = "", *more: str, plain: bool = False) -> dict[str, float]:
    """One side once; `plain` leaves the allocator as the system has it."""
    peers = f"{PEERS}:" if side == "peer" and workload.task == "ppo" else ""
    arguments = [workload.name, attention, *more] if side == "peer" else [workload.name]
    result = _worker(side, arguments, {"PYTHONPATH": f"{peers}{ROOT}"}, plain=plain)
    label = " ".join([side, *arguments[1:]])
    speed, peak = result["tokens_per_s"], result["peak_mib"]
    print(f"{workload.name:16} {label:10} {speed:8.1f} tokens/s {peak:7.0f} MiB", flush=True)
    return result


def _try_peer(workload: Workload, *arguments: str, plain: bool = False) -> dict[str, float] | None:
    """The peer once; None, said, where this machine has too little memory for it."""
    try:
        return _run("peer", workload, *arguments, plain=plain)
    except MemoryError:
        print(f"{workload.name:16} peer {' '.join(arguments):10} was killed: too little memory", flush=True)
        return None


def _worker(
    module: str, arguments: Sequence[str], environment: dict[str, str], *, plain: bool = False
) -> dict[str, Any]:
    """The last line that a worker prints, with the same allocator settings for all but plain ones."""
    settings = {"HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    common = {name: value for name, value in ENVIRONMENT.items() if not (plain and name.startswith("MALLOC_"))}
    variables = {**os.environ, **common, **settings, **environment}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    if done.returncode == -signal.SIGKILL:
        raise MemoryError(f"{' '.join(command)} was killed, as the system does where memory runs out")
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def _scaling() -> list[dict[str, Any]]:
    """Growth of a DPO step with length, batch and vocabulary, each in a process of its own for its peak memory."""
    return [dict(_worker("scaling", [point, switch], {})) for point in POINTS for switch in ("on", "off")]


def install_ppo_peer() -> None:
    """TRL 1.12 beside the environment, where it is not there yet."""
    if not PEERS.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps"]
        subprocess.run([*pip, "--target", str(PEERS), "trl==1.12.0"], check=True)


def _flops_per_sample(workload: Workload, run: dict[str, float]) -> float:
    """What a textbook step multiplies for one sample: 2 FLOP a weight and token forward, as much for each of the
    gradients of activations and of weights; no recomputation, no padding, every prompt for each response."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(workload.folder)
    width, inner = config.hidden_size, config.intermediate_size
    if workload.model == "encoder":
        body = config.num_hidden_layers * (4 * width**2 + 2 * width * inner)
    else:
        key_values = 2 * width * config.num_key_value_heads * (width // config.num_attention_heads)
        body = config.num_hidden_layers * (2 * width**2 + key_values + 3 * width * inner)
    tokens = run["tokens_per_s"] / run["samples_per_s"]
    response = sum(workload.response_tokens) / 2 * (2 if workload.task == "dpo" else 1)
    response = workload.new_tokens if workload.task == "ppo" else response
    head = 0 if workload.task == "reward" else config.vocab_size * width
    passes = 4 if workload.method == "lora" else 6
    if workload.task == "ppo":
        # forward once to sample, and by policy, reference and reward model; then the epochs
        passes = 2 * 4 + PPO_EPOCHS * passes
    return passes * (body * tokens + head * response)


def _machine(rate: MatmulRate) -> dict[str, Any]:
    import peft
    import transformers
    import trl

    return {
        "device": device(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "matmul_gflops": rate.as_dict(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "trl": trl.__version__,
        "trl_ppo": "1.12.0",
    }


def device() -> str:
    """Name of the GPU or of the processor."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.processor()


if __name__ == "__main__":
    main()
