"""What a worker reports, and what the machine can do at best."""

import json
import resource
import time
from dataclasses import asdict, dataclass, field

import torch

WARM_UP = 2
"""Steps that are not counted: they get their memory from the system, and on a GPU they compile."""


@dataclass
class Meter:
    """Tokens, samples, seconds and losses of each step."""

    tokens: list[int] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    warm_up: int = WARM_UP

    def step(self, *, tokens: int, samples: int, seconds: float, loss: float) -> None:
        self.tokens.append(tokens)
        self.samples.append(samples)
        self.seconds.append(seconds)
        self.losses.append(loss)

    def report(self, **extra: float) -> None:
        """Print the result of a worker, its last line."""
        seconds = sum(self.seconds[self.warm_up :])
        weights = self.samples
        result = {
            "tokens_per_s": sum(self.tokens[self.warm_up :]) / seconds,
            "samples_per_s": sum(self.samples[self.warm_up :]) / seconds,
            "seconds": seconds,
            "total_tokens": sum(self.tokens),
            "steps": len(self.seconds),
            "loss": sum(loss * weight for loss, weight in zip(self.losses, weights, strict=True)) / sum(weights),
            "peak_mib": peak_mib(),
            **extra,
        }
        print("\n" + json.dumps(result), flush=True)


def peak_mib() -> float:
    """Largest memory so far: of the GPU's allocator where there is one, else of the process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


@dataclass(frozen=True)
class MatmulRate:
    """GFLOP/s of large square matrices."""

    bf16: float
    fp32: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def matmul_rate(size: int | None = None, repeats: int = 5) -> MatmulRate:
    """The best of some repeats, on the device that trainers use."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = size or (8192 if device == "cuda" else 2048)
    rates = {}
    for dtype in (torch.bfloat16, torch.float32):
        left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        best = 0.0
        for _ in range(repeats + 1):
            _synchronize(device)
            start = time.perf_counter()
            left @ right
            _synchronize(device)
            best = max(best, 2 * size**3 / (time.perf_counter() - start) / 1e9)
        rates[dtype] = best
    return MatmulRate(bf16=rates[torch.bfloat16], fp32=rates[torch.float32])


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
