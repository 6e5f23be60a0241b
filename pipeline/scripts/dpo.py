"""The networks of DPO as train_dpo trains them, loaded once it is known that they can be."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.memory.trainings import dpo_examples, dpo_work
from pipeline.models.compute import Compute
from pipeline.models.folders import config_of
from pipeline.models.policy import Policy, load_policy, load_reference
from pipeline.preferences.scored import ScoredPair
from pipeline.scripts.starting import check_training
from pipeline.stage.execution import Stage


def load_networks(
    stage: Stage, sft: Path, pairs: Sequence[ScoredPair], compute: Compute, *, seed: int
) -> tuple[Policy, Policy | None]:
    """The policy that is trained, and its reference where `optimize.dpo.reference` asks for a model of its own.

    Args:
        sft: folder of the SFT policy, from which both are loaded.
        pairs: those that are trained on.

    Raises:
        PipelineError: the optimiser is not installed, or the memory too small.
    """
    settings = stage.params.optimize.dpo
    tuning = settings.finetuning
    examples = dpo_examples([(pair.chosen, pair.rejected) for pair in pairs])
    check_training(dpo_work(config_of(sft), settings, examples), stage.params.runtime)
    policy = load_policy(sft, compute, finetuning=tuning, seed=seed)
    if settings.reference != "frozen_copy":
        return policy, None
    return policy, load_reference(sft, compute, method=tuning.method, quantization=tuning.quantization)
