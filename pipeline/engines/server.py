"""What is asked of `vllm serve`: its models, responses to token ids, and to take adapters and to forget them.

Fields and answers are those of vLLM's OpenAI server: `CompletionRequest` and `CompletionResponse` of
vllm/entrypoints/openai/completion/protocol.py, /v1/models, and /v1/load_lora_adapter and /v1/unload_lora_adapter, which
exist where VLLM_ALLOW_RUNTIME_LORA_UPDATING is set.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.endpoints.endpoint import Endpoint, Refused
from pipeline.endpoints.rate_limit import Stopped
from pipeline.engines.launching import served_rank
from pipeline.errors import PipelineError
from pipeline.params.endpoint import EngineServer

_KEPT = (
    "docs/operations.md has the command that starts it. What was sampled so far is kept: run `dvc repro` again, and it "
    "goes on from there."
)
_DONE = ("stop", "length")
"""Reasons why a response is as long as it is; others are a request that the server has dropped."""


class Forgotten(PipelineError):
    """The server does not know the model of a request: it was started again, or another stage had it unload it."""


class ServedModel(NamedTuple):
    """A model as the server names it."""

    name: str
    root: str
    """Where the server has it from."""
    max_length: int | None
    """Tokens of prompt and response together."""


class VllmServer:
    """Sends requests from any number of threads, each again after a failure that may pass."""

    def __init__(self, settings: EngineServer) -> None:
        self.base_url = settings.base_url
        self.concurrency = settings.concurrency
        self._variable = settings.key_variable
        self._endpoint = Endpoint(settings, section="engine", kept=_KEPT)

    def base_model(self) -> ServedModel:
        """The whole model that it serves, to which adapters are added.

        Raises:
            PipelineError: no server answers there.
        """
        try:
            return self._endpoint.ask("/models", None, _base_model)
        except Refused as refused:
            raise self._endpoint.refusal(refused, "Check engine.base_url, which ends in /v1.") from None

    def complete(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The one choice of a completion, with the name of the model that has made it as `model`.

        Args:
            request: fields of `CompletionRequest`, with one prompt.

        Raises:
            Forgotten: it does not know the model.
            PipelineError: the server refuses the request, or still fails after all retries.
            Stopped: a request of another thread failed for good.
        """
        try:
            return self._endpoint.ask("/completions", request, _choice)
        except Refused as refused:
            error = self._endpoint.refusal(refused, "Check that `vllm serve` is of version 0.10.2 or newer.")
            raise (Forgotten(str(error)) if refused.status == 404 else error) from None

    def load(self, name: str, folder: Path, *, rank: int) -> None:
        """Make it read an adapter; one that it has already is no error.

        Raises:
            PipelineError: it takes none at runtime, cannot read the folder, or refuses the adapter.
        """
        try:
            # 500 is how vLLM refuses an adapter
            self._endpoint.ask("/load_lora_adapter", {"lora_name": name, "lora_path": str(folder)}, str, final=(500,))
        except Refused as refused:
            if "already been loaded" in refused.text:
                return
            raise self._endpoint.refusal(refused, _advice_on_adapters(refused, folder, rank)) from None

    def unload(self, name: str) -> None:
        """Make it forget an adapter, if it can: what stays there is never asked for again."""
        try:
            self._endpoint.ask("/unload_lora_adapter", {"lora_name": name}, str, final=(500,))
        except (Refused, PipelineError, Stopped):
            return

    def problem(self, message: str) -> PipelineError:
        """An error that names the server."""
        return PipelineError(f"engine: {self.base_url} {message}")

    def too_few_logprobs(self, given: int, tokens: int) -> PipelineError:
        """The error of an answer in which tokens have no log-probs."""
        return self.problem(
            f"gives {given} log-probs for {tokens} tokens, and each needs its own. Start it without speculative "
            "decoding and without a proxy that leaves them out."
        )

    def stop(self) -> None:
        """Make every thread that waits give up with `Stopped`."""
        self._endpoint.stop()


def _base_model(answer: Any) -> ServedModel:
    found = next(one for one in answer["data"] if not one.get("parent"))
    return ServedModel(found["id"], str(found.get("root")), found.get("max_model_len"))


def _choice(answer: Any) -> dict[str, Any]:
    (choice,) = answer["choices"]
    if choice["finish_reason"] not in _DONE:
        raise ValueError(choice["finish_reason"])
    return {**choice, "model": answer["model"]}


def _advice_on_adapters(refused: Refused, folder: Path, rank: int) -> str:
    """What to do, by the words in which vLLM refuses."""
    text = refused.text
    if "max_lora_rank" in text:
        return f"Start it with --max-lora-rank {served_rank(rank)}: the adapters have rank {rank}."
    if refused.status == 404 and "adapter" not in text.lower():
        return "Start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its environment, and with --enable-lora."
    if "enable-lora" in text or "LoRA is not enabled" in text:
        return "Start it with --enable-lora."
    return f"Check that the server can read {folder} by that path (engine.adapters), and that it serves the base model."
