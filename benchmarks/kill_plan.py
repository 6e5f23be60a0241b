"""Where kills fall: stages by their share of the time, and within a stage by its steps."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

TRAINED = ("train_sft", "train_reward", "optimize_policy@dpo-0", "optimize_policy@ppo-0")
_AT_LEAST = 5


@dataclass(frozen=True)
class StageTime:
    """What a stage did in the run that nobody killed."""

    seconds: float
    """From its first line to its end."""
    steps: int
    """Rows of its training history; 0 where it trains nothing."""


@dataclass(frozen=True)
class Moment:
    """When to kill: so far into the work of a stage."""

    stage: str
    fraction: float
    """(0, 1) of its steps, or of its seconds where it has none."""


def plan_kills(times: Mapping[str, StageTime], *, kills: int, runs: int, rng: random.Random) -> list[list[Moment]]:
    """The kills of each whole run, in the order in which they can happen.

    Each trained stage gets a tenth of them, up to five, and the rest fall where the time goes.

    Args:
        times: in the order of the graph.
    """
    stages = list(TRAINED) * min(_AT_LEAST, kills // 10)
    weights = [time.seconds for time in times.values()]
    stages += rng.choices(list(times), weights=weights, k=kills - len(stages))
    moments = [Moment(stage, rng.uniform(0.05, 0.95)) for stage in stages]
    rng.shuffle(moments)
    order = list(times)
    planned = [
        sorted(moments[run::runs], key=lambda moment: (order.index(moment.stage), moment.fraction))
        for run in range(runs)
    ]
    return [run for run in planned if run]
