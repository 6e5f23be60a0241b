"""Who samples in a stage, from `sampling.engine`."""

from pipeline.engines.opening import open_engine
from pipeline.models.engine import Engine
from pipeline.params.schema import Sampling
from pipeline.stage.execution import Stage


def sampling_engine(stage: Stage, sampling: Sampling) -> Engine | None:
    """A server, which forgets what it was handed when the stage ends; None where policies sample by themselves.

    Args:
        sampling: as the stage's inputs have it; PPO's lies beside its reward model.
    """
    if sampling.engine == "own":
        return None
    return stage.keep_open(open_engine(stage.engine_server, stage.home))
