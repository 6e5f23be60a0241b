"""Whether the server that samples is there, where one does."""

from pipeline.check.findings import Findings
from pipeline.check.settings import Settings
from pipeline.engines.launching import serve_command
from pipeline.engines.server import VllmServer
from pipeline.errors import PipelineError
from pipeline.params.base import Finetuning

_SECONDS = 5.0


def check_engine(settings: Settings, findings: Findings) -> None:
    """Ask the server once which model it serves; before the first run there may be no model to serve yet."""
    if settings.engine == "own":
        return
    once = settings.engine_server.model_copy(update={"max_retries": 0, "timeout_seconds": _SECONDS})
    try:
        base = VllmServer(once).base_model()
    except PipelineError:
        command = serve_command("artifacts/models/policy", rank=_summed_rank(settings))
        findings.warning(
            f"sampling.engine is {settings.engine}, and no server answers at {once.base_url}. Before the first stage "
            f"that samples, after fetch_models, start one: {command}",
            "engine.base_url",
        )
        return
    new = settings.lengths.new_tokens
    if base.max_length is not None and base.max_length <= new:
        findings.error(
            f"the server takes {base.max_length} tokens, and a response alone may have {new}. Start it with a larger "
            "--max-model-len.",
            "sampling.max_new_tokens",
            new,
        )


def _summed_rank(settings: Settings) -> int:
    """Of the adapters that lie on each other in the policies that are sampled from; at least 1."""
    trainings = settings.trainings
    ranks = [_rank(getattr(trainings, method).finetuning) for method in settings.methods]
    if "hybrid" in settings.methods:
        ranks.append(ranks[0] + _rank(trainings.hybrid.finetuning))
    return max(1, _rank(trainings.sft.finetuning) + max(ranks))


def _rank(finetuning: Finetuning) -> int:
    return finetuning.lora_r if finetuning.method == "lora" else 0
