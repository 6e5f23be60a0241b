"""What is asked of every training before its weights are loaded."""

from pipeline.memory.fitting import check_fit
from pipeline.memory.work import Work
from pipeline.params.schema import Runtime
from pipeline.training.optimizer import check_optimizer


def check_training(work: Work, runtime: Runtime) -> None:
    """Refuse what cannot be trained here, and print what memory it will need.

    Raises:
        PipelineError: the optimiser is not installed, or the memory too small.
    """
    check_optimizer(work.optimizer)
    check_fit(work, runtime)
