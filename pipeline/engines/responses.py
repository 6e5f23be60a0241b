"""A request for one response, and what the server's answer has to hold."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pipeline.data.tokens import TokenizedExample
from pipeline.engines.server import VllmServer
from pipeline.models.drawing import Truncation
from pipeline.models.sampling import Sampled, Sampler


def request_for(sampler: Sampler, model: str, prompt: Sequence[int], *, seed: int, new: int) -> dict[str, Any]:
    """One response of at most `new` tokens, which the sampler's stop tokens end and nothing else."""
    truncation = sampler.truncation or Truncation(top_k=0, top_p=1.0)
    return {
        "model": model,
        "prompt": list(prompt),
        "seed": seed,
        "max_tokens": new,
        "temperature": sampler.sampling.temperature,
        "top_k": truncation.top_k,
        "top_p": truncation.top_p,
        # a generation_config.json beside the model would decide on what is not said
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        # EOS is among them
        "ignore_eos": True,
        "stop_token_ids": sampler.stop_ids.tolist(),
        # of what is drawn, and no other
        "logprobs": 0,
        "return_token_ids": True,
    }


def read_response(
    server: VllmServer, sampler: Sampler, request: Mapping[str, Any], choice: Mapping[str, Any]
) -> Sampled:
    """The response, which holds the token that ended it, and the log-probs that the server gives.

    Raises:
        PipelineError: other weights have answered, another prompt was answered, or something is missing.
    """
    prompt, ids = request["prompt"], choice.get("token_ids")
    if choice["model"] != request["model"]:
        raise server.problem(
            f"answered with {choice['model']} where {request['model']} was asked for: other weights than the policy's. "
            "Is there a proxy in between that knows one model only?"
        )
    if not ids or choice.get("prompt_token_ids") is None:
        raise server.problem(
            "gives no token ids (return_token_ids), without which tokens would be guessed from text. vLLM gives them "
            "from version 0.10.2 on."
        )
    if choice["prompt_token_ids"] != prompt:
        raise server.problem(
            f"has read {len(choice['prompt_token_ids'])} tokens where it was sent {len(prompt)} others."
        )
    logprobs = (choice.get("logprobs") or {}).get("token_logprobs") or []
    if len(logprobs) != len(ids) or None in logprobs:
        raise server.too_few_logprobs(sum(one is not None for one in logprobs), len(ids))
    _check_end(server, sampler, request, ids, choice["finish_reason"])
    return Sampled(TokenizedExample(list(prompt), list(ids)), torch.tensor(logprobs, dtype=torch.float32))


def _check_end(
    server: VllmServer, sampler: Sampler, request: Mapping[str, Any], ids: Sequence[int], reason: str
) -> None:
    stops = set(sampler.stop_ids.tolist())
    ended = ids[-1] in stops
    if any(one in stops for one in ids[:-1]) or (reason == "stop") != ended:
        raise server.problem(
            f"ends a response by {reason} with token {ids[-1]}, and sampling.stop_tokens and the model end it with "
            f"{sorted(stops)}. Start it without --generation-config and default stop tokens of its own."
        )
    if not ended and len(ids) != request["max_tokens"]:
        raise server.problem(
            f"cut a response after {len(ids)} of {request['max_tokens']} tokens. Start it with a larger "
            "--max-model-len."
        )
