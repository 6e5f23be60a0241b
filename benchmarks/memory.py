"""Peaks of trainings of larger models with random weights, beside what the planner estimates.

Counted are what the process has of its own at most, and the files that it has in memory at the end: libraries, and
weights that are used as they lie on the disk. Files that are read once and converted are left out: the kernel takes
their pages back where memory is short.

`python -m benchmarks.memory measure 0.5B dpo` is one training step in a process of its own, and a line of JSON. Lengths
are those of conversations: 1,024 tokens, of which half are the prompt; PPO has prompts of 256 tokens and samples 128.
"""

import argparse
import gc
import json
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2ForSequenceClassification

from pipeline.environment import ENVIRONMENT
from pipeline.memory.conditions import LIBRARIES
from pipeline.params.loading import load_params
from tests.memory.peaks import ROOT, Training, _resident
from tests.peak_memory import peak_kib
from tests.tiny_models import byte_level_tokenizer, changed

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 8192, "tie_word_embeddings": True,
    },
    "0.5B": {
        "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
        "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
    },
    "1B": {
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 128256, "tie_word_embeddings": True,
    },
}  # fmt: skip


def model_config(name: str) -> Qwen2Config:
    """Of a size, with the ends of the tests' tokenizer."""
    tokenizer = byte_level_tokenizer()
    return Qwen2Config(
        **SIZES[name], max_position_embeddings=4096,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip


def create(folder: Path, name: str) -> None:
    """A policy in bf16, and a reward model of the same size in fp32, as they are stored."""
    for kind, network in (("policy", Qwen2ForCausalLM), ("reward", Qwen2ForSequenceClassification)):
        torch.set_default_dtype(torch.bfloat16 if kind == "policy" else torch.float32)
        config = model_config(name)
        config.num_labels = 1
        network(config).save_pretrained(folder / kind)
        byte_level_tokenizer().save_pretrained(folder / kind)
        gc.collect()


LENGTHS = {"sft": 1024, "dpo": 1360, "reward": 1360, "ppo": 384}
"""Of a row: a pair's holds the prompt once, and both responses."""


class Watched:
    """Looks at what this process has of its own, twenty times a second."""

    def __init__(self) -> None:
        self.peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            self.peak = max(self.peak, _resident("RssAnon"))

    def __enter__(self) -> "Watched":
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._ended.set()
        self._thread.join()


def measure(folder: Path, name: str, kind: str, *, batch: int, episodes: int) -> dict[str, Any]:
    """One step, its peak and the estimate, libraries included."""
    params = load_params(ROOT / "params.yaml")
    runtime = changed(params.runtime, device="cpu", threads="auto", recompute=True)
    params = params.model_copy(update={"runtime": runtime})
    # the second rollout of PPO finds the reward model in memory
    steps = 2 if kind == "ppo" else 1
    training = Training(folder / name, params, LENGTHS[kind], "lora", batch=batch, steps=steps)
    training.episodes, training.new = episodes, 128
    start = time.perf_counter()
    with Watched() as watched:
        getattr(training, kind)()
    return {
        "model": name,
        "training": kind,
        "batch": batch,
        "measured_mib": round((watched.peak + _resident("RssFile")) / 2**20),
        "with_files_mib": round(peak_kib() / 1024),
        "estimated_mib": round((training.estimate + LIBRARIES) / 2**20),
        "seconds": round(time.perf_counter() - start),
    }


def main() -> None:
    """Create the models of a size, or measure one training."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("what", choices=("create", *LENGTHS))
    parser.add_argument("model", choices=SIZES)
    parser.add_argument("--folder", type=Path, default=Path(".state/benchmarks"))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--episodes", type=int, default=4)
    asked = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        # the allocator reads its settings when the process starts, as that of a stage does
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.memory", *sys.argv[1:]], os.environ | ENVIRONMENT)
    torch.manual_seed(0)
    random.seed(0)
    if asked.what == "create":
        create(asked.folder / asked.model, asked.model)
        return
    found = measure(asked.folder, asked.model, asked.what, batch=asked.batch, episodes=asked.episodes)
    print("\n" + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
