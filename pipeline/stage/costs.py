"""What a stage cost: measured, never part of a hashed output."""

import json
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from pipeline.locks import wait_for_lock

COSTS_FILE = Path("reports/costs.json")


class Costs(TypedDict):
    """What one execution of a stage took."""

    seconds: float
    peak_memory_mib: float
    tokens_per_second: float | None
    """Of the main work; None in a stage without tokens."""
    device: str


class RecordedCosts(Costs):
    """Costs, and what was written for them."""

    outs: dict[str, str]
    """Content hash by path."""


_KEPT = 50
"""How many versions of a stage's outputs keep their costs."""


class CostMeter:
    """Wall-clock seconds from its creation, peak memory, and tokens passed through a trainer or sampler."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._work_seconds = 0.0
        self._tokens = 0

    def add_work(self, tokens: int, seconds: float) -> None:
        """Count the stage's main work: prompt and response tokens, and the time they took."""
        self._tokens += tokens
        self._work_seconds += seconds

    def so_far(self) -> dict[str, float]:
        """The costs until now, for a later execution that resumes this one: it hands them to `add_earlier`."""
        return {
            "seconds": time.perf_counter() - self._start,
            "work_seconds": self._work_seconds,
            "tokens": self._tokens,
        }

    def add_earlier(self, costs: Mapping[str, float]) -> None:
        """Add what an earlier execution had spent on the work that this one resumes; `costs` is its `so_far()`."""
        self._start -= costs["seconds"]
        self._work_seconds += costs["work_seconds"]
        self._tokens += int(costs["tokens"])

    def measure(self, device: str) -> Costs:
        """Seconds, peak memory (MiB), tokens per second of the main work, and the device."""
        return {
            "seconds": round(time.perf_counter() - self._start, 1),
            "peak_memory_mib": round(peak_memory_mib(), 1),
            "tokens_per_second": round(self._tokens / self._work_seconds, 1) if self._tokens else None,
            "device": device,
        }


def peak_memory_mib() -> float:
    """Largest resident memory of this process in MiB, or its largest allocation on a GPU if that is more."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resident = peak / 2**20 if sys.platform == "darwin" else peak / 2**10
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return max(resident, torch.cuda.max_memory_allocated() / 2**20)
    return resident


class KnownCosts:
    """The recorded costs of stages; an execution is identified by the hashes of the outputs that it wrote."""

    def __init__(self, stages: Mapping[str, list[Any]]) -> None:
        self._stages = stages

    def of(self, stage: str, outs: Mapping[str, str]) -> RecordedCosts | None:
        """Costs of the newest execution that wrote these outputs (content hash by path); None when unknown."""
        matching = [costs for costs in self._stages.get(stage, []) if costs.get("outs") == dict(outs)]
        return matching[-1] if matching else None


def known_costs(root: Path) -> KnownCosts:
    """What reports/costs.json holds."""
    return KnownCosts(_recorded(root / COSTS_FILE))


def record_costs(root: Path, stage: str, costs: Costs, *, outs: Mapping[str, str]) -> None:
    """Add the costs of one execution to reports/costs.json, which is replaced whole or left as it is.

    Costs of earlier versions of the outputs stay: DVC may bring those versions back from its cache.

    Args:
        outs: DVC's hashes of what the execution wrote, by path, under which its costs are looked up.
    """
    path = root / COSTS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = root / ".state" / "costs.lock"
    lock.parent.mkdir(exist_ok=True)
    with wait_for_lock(lock):
        recorded = _recorded(path)
        others = [known for known in recorded.get(stage, []) if known.get("outs") != dict(outs)]
        stages = {**recorded, stage: [*others[-_KEPT + 1 :], {**costs, "outs": dict(outs)}]}
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps({"stages": stages}, indent=2, sort_keys=True) + "\n")
        draft.replace(path)


def _recorded(path: Path) -> dict[str, list[Any]]:
    """The costs in the file, by stage; none from a broken file: lost costs must not stop a training."""
    try:
        stages = json.loads(path.read_text())["stages"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {
        name: [costs for costs in executions if isinstance(costs, dict)]
        for name, executions in stages
        if isinstance(executions, list)
    }
