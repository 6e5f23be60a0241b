"""The parts of the check of a GPU, each in a process of its own: `python -m benchmarks.gpu_parts PART`.

The last line that a part prints is its rows as JSON. `benchmarks.gpu_check` runs all of them and writes the table.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks import memory, run, workloads
from benchmarks.measuring import matmul_rate
from pipeline.environment import ENVIRONMENT
from pipeline.memory.conditions import LIBRARIES
from pipeline.models.chunked_sampling import sample_prompts, together
from pipeline.models.compute import start_compute
from pipeline.models.drawing import Truncation
from pipeline.models.policy import Policy, load_policy, load_tokenizer
from pipeline.models.sampling import Sampler
from pipeline.params.loading import load_params
from pipeline.params.schema import Params
from pipeline.training.run import TrainingRun
from tests.memory import peaks
from tests.peak_memory import peak_kib
from tests.tiny_models import changed

FOLDER = workloads.WORK / "gpu"
MIB = 2**20
WARM_UP = 1
"""Steps that are not counted: a GPU compiles in them."""


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    part: str
    what: str
    measured: str
    beside: str = ""
    """What it is compared with."""
    verdict: str = ""


@dataclass(frozen=True)
class Scale:
    """What is checked, and how much of it."""

    device: str
    small: bool
    folder: Path = FOLDER

    @property
    def model(self) -> str:
        """Of `benchmarks.memory.SIZES`."""
        return "tiny" if self.small else "1B"

    @property
    def models(self) -> Path:
        """The folder of the policy and the reward model, which `create_models` fills."""
        return self.folder / self.model

    def params(self, **changes: Any) -> Params:
        """Of params.yaml, on the device, with other values of the section runtime."""
        params = load_params(workloads.ROOT / "params.yaml")
        runtime = changed(params.runtime, **{"device": self.device, **changes})
        return params.model_copy(update={"runtime": runtime})


def create_models(scale: Scale) -> list[Row]:
    """A policy in bf16 and a reward model in fp32 with random weights, drawn on the device; kept for the next time."""
    if not (scale.models / "reward" / "config.json").is_file():
        torch.manual_seed(0)
        with torch.device(scale.device):
            memory.create(scale.models, scale.model)
    return []


def rollouts(scale: Scale, precision: str) -> list[Row]:
    """What this project samples, beside `generate` of transformers and beside the log-probs that it trains with."""
    params = scale.params(precision=precision)
    compute = start_compute(params.runtime)
    tokenizer = load_tokenizer(scale.models / "policy")
    policy = load_policy(scale.models / "policy", compute, finetuning=None)
    rng, rows = random.Random(0), []
    lengths = [8 + 4 * row for row in range(8 if scale.small else 16)]
    prompts = [rng.choices(range(3, 8000), k=length) for length in lengths]
    sampling = changed(params.sampling, max_new_tokens=16 if scale.small else 32, stop_tokens=[])
    sampler = Sampler.of(policy, tokenizer, sampling)
    if precision == "fp32":  # in bf16 two tokens are often equally probable
        first = replace(sampler, truncation=Truncation(top_k=1, top_p=1.0))
        greedy = [one.example.response_ids for one in sample_prompts(first, prompts, key=0)]
        plain = [_generated(sampler, prompt) for prompt in prompts]
        same = sum(ours == theirs for ours, theirs in zip(greedy, plain, strict=True))
        verdict = "equal" if same == len(prompts) else "DIFFERENT"
        rows.append(Row("rollouts", "greedy tokens, fp32", f"{same} of {len(prompts)} rows equal", "generate", verdict))
    with compute.accelerator.autocast(), torch.no_grad():
        samples = together(sample_prompts(sampler, prompts, key=0), pad_token_id=tokenizer.pad_token_id)
        trained = policy(samples.batch.to(compute.device), temperature=sampling.temperature).logprobs.cpu()
    difference = (trained - samples.logprobs).abs()[samples.batch.response_mask]
    measured = f"mean {difference.mean():.1e}, largest {difference.max():.1e} nats apart"
    verdict = "close" if float(difference.mean()) < _CLOSE[precision] else "FAR"
    return [*rows, Row("rollouts", f"log-probs of the sampler, {precision}", measured, "the trainer's", verdict)]


_CLOSE = {"fp32": 1e-3, "bf16": 0.1}
"""Nats a token: rounding, and far less than a network that is read at other positions is off by."""


def _generated(sampler: Sampler, prompt: list[int]) -> list[int]:
    """What `generate` says after a prompt that is alone."""
    network: Any = sampler.policy.causal_lm
    ids = torch.tensor([prompt], device=network.device)
    whole = network.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=sampler.sampling.max_new_tokens,
        do_sample=False,
        eos_token_id=sampler.stop_ids.tolist(),
    )
    return list(whole[0, len(prompt) :].tolist())


def trained_hashes(scale: Scale, kind: str) -> dict[str, str]:
    """sha256 of every trained weight after a short training, and of its metrics."""
    kept: list[nn.Module] = []

    def kept_policy(*arguments: Any, **options: Any) -> Policy:
        kept.append(load_policy(*arguments, **options))
        return kept[0]  # type: ignore[return-value]

    peaks.load_policy = kept_policy  # type: ignore[attr-defined]
    metrics: list[dict[str, float]] = []
    training = _training(scale, kind, steps=2)
    training.run = TrainingRun(training.compute, seed=0, on_step=lambda _, values: metrics.append(values))
    getattr(training, kind)()
    trained = {name: one for name, one in kept[0].named_parameters() if one.requires_grad}
    found = {name: one.detach().cpu().contiguous().view(torch.uint8).numpy() for name, one in trained.items()}
    hashes = {name: hashlib.sha256(content.tobytes()).hexdigest() for name, content in found.items()}
    return {**hashes, "metrics": hashlib.sha256(json.dumps(metrics).encode()).hexdigest()}


def determinism(scale: Scale) -> list[Row]:
    """The same seed in two processes, one after the other: the same bytes, or how many tensors differ."""
    rows = []
    for kind in ("dpo", "ppo"):
        first, second = (worker("hashes", scale, kind) for _ in range(2))
        different = [name for name, content in first.items() if second[name] != content]
        measured = f"{len(first) - len(different)} of {len(first)} tensors equal"
        verdict = "same bytes" if not different else f"DIFFERENT, first {different[0]}"
        rows.append(Row("determinism", f"{kind}, twice from one seed", measured, "the first time", verdict))
    return rows


def train(scale: Scale, kind: str) -> list[Row]:
    """A training with adapters at real lengths: its peak beside the planner's, and its tokens a second."""
    training = _training(scale, kind, steps=4)
    work: list[tuple[int, float]] = []
    training.run = TrainingRun(training.compute, seed=0, on_tokens=lambda *one: work.append(one))
    getattr(training, kind)()
    peak, estimate = device_peak(training.compute.device), training.estimate + LIBRARIES
    tokens, seconds = (sum(values) for values in zip(*work[WARM_UP:], strict=True))
    what = f"{scale.model} {kind}, LoRA, rows of {training.length} tokens"
    return [
        Row("memory", what, f"{peak / MIB:,.0f} MiB", f"planned {estimate / MIB:,.0f}", f"{estimate / peak:.2f}"),
        Row("speed", what, f"{tokens / seconds:,.0f} tokens/s"),
    ]


def _training(scale: Scale, kind: str, *, steps: int) -> peaks.Training:
    random.seed(0)
    torch.manual_seed(0)
    length = memory.LENGTHS[kind] // (8 if scale.small else 1)
    training = peaks.Training(scale.models, scale.params(), length, "lora", batch=2 if scale.small else 4, steps=steps)
    training.episodes, training.new = (4, 8) if scale.small else (32, 128)
    return training


def device_peak(device: torch.device) -> int:
    """Bytes: of a GPU, what its allocator took at most and what its context holds; else of the process."""
    if device.type != "cuda":
        return peak_kib() * 1024
    free, whole = torch.cuda.mem_get_info(device)
    return torch.cuda.max_memory_reserved(device) + whole - free - torch.cuda.memory_reserved(device)


def beside_trl(scale: Scale, task: str) -> list[Row]:
    """This project's trainer and TRL's, as `make bench` compares them, once each."""
    name = f"{task}-tiny" if scale.small else f"{task}-0.5b"
    workload = workloads.find(name)
    workloads.prepare([workload])
    if task == "ppo":
        run.install_ppo_peer()
    found = run.compare(workload, 1, matmul_rate(1024 if scale.small else None))
    ours, peer = (f"{found[f'{side}_tokens_per_s']:,.0f} tokens/s" for side in ("ours", "peer"))
    least, most = (f"{found[f'{side}_peak_mib']:,.0f} MiB" for side in ("ours", "peer"))
    settings = f"TRL, {found['peer_attention']}"
    return [
        Row("beside TRL", f"{name}, speed", ours, f"{peer} ({settings})", f"{found['ratio_speed']:.2f} times"),
        Row("beside TRL", f"{name}, peak", least, f"{most} ({settings})", f"{found['ratio_memory']:.2f} times"),
    ]


PARTS: dict[str, Callable[[Scale], list[Row]]] = {
    "models": create_models,
    "rollouts-fp32": lambda scale: rollouts(scale, "fp32"),
    "rollouts-bf16": lambda scale: rollouts(scale, "bf16"),
    "determinism": determinism,
    **{f"train-{kind}": lambda scale, kind=kind: train(scale, kind) for kind in ("dpo", "ppo", "sft", "reward")},  # type: ignore[misc]
    **{f"trl-{task}": lambda scale, task=task: beside_trl(scale, task) for task in ("dpo", "sft", "reward", "ppo")},  # type: ignore[misc]
}


def worker(part: str, scale: Scale, *more: str, seconds: float | None = None) -> Any:
    """What a part prints, run in a process of its own; without a GPU where the device is the CPU.

    Raises:
        RuntimeError: it failed, with the last line that it wrote.
        subprocess.TimeoutExpired: it took longer than `seconds`.
    """
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if scale.device == "cpu" else {}
    options = ["--device", scale.device, "--folder", str(scale.folder), *(["--small"] if scale.small else [])]
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(workloads.ROOT), **hidden}
    status, output, errors = _finished(
        [sys.executable, "-m", "benchmarks.gpu_parts", part, *more, *options], environment, seconds
    )
    if status:
        written = [line for line in chain(output.splitlines(), errors.splitlines()) if line.strip()]
        raise RuntimeError(written[-1].strip() if written else f"ended with status {status}")
    return json.loads(output.strip().splitlines()[-1])


def _finished(command: Sequence[str], environment: Mapping[str, str], seconds: float | None) -> tuple[int, str, str]:
    """Status and output; a process that takes too long ends with those that it started, which hold memory, too."""
    with subprocess.Popen(
        command,
        cwd=workloads.ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=seconds)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, output, errors


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_parts", description=__doc__)
    parser.add_argument("part", choices=(*PARTS, "hashes"))
    parser.add_argument("kind", nargs="?", help="of hashes: dpo or ppo")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    asked = parser.parse_args()
    scale, start = Scale(asked.device, asked.small, asked.folder), time.perf_counter()
    if asked.part == "hashes":
        print("\n" + json.dumps(trained_hashes(scale, asked.kind)), flush=True)
        return
    rows = PARTS[asked.part](scale)
    print(f"{asked.part}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    print("\n" + json.dumps([asdict(row) for row in rows]), flush=True)


if __name__ == "__main__":
    main()
