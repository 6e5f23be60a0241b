"""The reference of DPO, loaded as its trainer would load it once the memory is known to suffice, and its log-probs."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from transformers import PreTrainedTokenizerBase

from pipeline.memory.fitting import check_fit
from pipeline.memory.readings import reference
from pipeline.memory.trainings import dpo_examples
from pipeline.memory.work import Model
from pipeline.models.compute import Compute
from pipeline.models.folders import config_of
from pipeline.models.policy import load_reference
from pipeline.models.scoring import score_responses
from pipeline.preferences.scored import TokenizedPair
from pipeline.stage.execution import Stage


def reference_logps(
    stage: Stage, folder: Path, tokenizer: PreTrainedTokenizerBase, pairs: Sequence[TokenizedPair], compute: Compute
) -> list[float]:
    """Log-probs of the responses under the SFT policy, in the number format and quantisation of DPO.

    Args:
        folder: of the SFT policy.

    Returns:
        Of the chosen and the rejected response of each pair in turn, (2 * len(pairs),), in nats.

    Raises:
        PipelineError: the memory does not suffice.
    """
    settings = stage.params.score_reference
    # of DPO's section these two alone: score_reference depends on no other key of it
    method = stage.params.optimize.dpo.finetuning.method
    quantization = stage.params.optimize.dpo.finetuning.quantization
    work = reference(
        Model.of(config_of(folder), writes=True),
        batch=settings.batch_size,
        pairs=dpo_examples([(pair.chosen, pair.rejected) for pair in pairs]),
        widened=method == "full",
        quantization=quantization,
    )
    check_fit(work, stage.params.runtime)
    policy = load_reference(folder, compute, method=method, quantization=quantization)
    examples = [side for pair in pairs for side in (pair.chosen, pair.rejected)]
    start = perf_counter()
    logps = score_responses(
        policy,
        examples,
        compute,
        pad_token_id=tokenizer.pad_token_id,
        batch_size=2 * settings.batch_size,
        title="reference log-probs",
    )
    stage.costs.add_work(sum(map(len, examples)), perf_counter() - start)
    return logps
