"""The reference of DPO, loaded as its trainer would load it, once the memory is known to suffice."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.memory.fitting import check_fit
from pipeline.memory.readings import reference
from pipeline.memory.trainings import dpo_examples
from pipeline.memory.work import Model
from pipeline.models.compute import Compute
from pipeline.models.folders import config_of
from pipeline.models.policy import Policy, load_reference
from pipeline.preferences.scored import TokenizedPair
from pipeline.stage.execution import Stage


def open_reference(stage: Stage, folder: Path, pairs: Sequence[TokenizedPair], compute: Compute) -> Policy:
    """The SFT policy, in the number format and quantisation of DPO.

    Args:
        folder: of the SFT policy.
        pairs: those whose log-probs it is to give.

    Raises:
        PipelineError: the memory does not suffice.
    """
    method = stage.params.optimize.dpo.finetuning.method
    quantization = stage.params.optimize.dpo.finetuning.quantization
    work = reference(
        Model.of(config_of(folder), writes=True),
        batch=stage.params.score_reference.batch_size,
        pairs=dpo_examples([(pair.chosen, pair.rejected) for pair in pairs]),
        widened=method == "full",
        quantization=quantization,
    )
    check_fit(work, stage.params.runtime)
    return load_reference(folder, compute, method=method, quantization=quantization)
