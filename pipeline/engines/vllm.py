"""Sampling by `vllm serve`: the policy's adapters go there as a folder, prompts and responses as token ids."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from pipeline.endpoints.asking import answers
from pipeline.engines.adapters import Adapter, adapter_of, stored_adapters
from pipeline.engines.responses import read_response, request_for
from pipeline.engines.server import Forgotten, ServedModel, VllmServer
from pipeline.engines.trials import NEW_TOKENS, PROMPTS, check_logprobs, check_weights, needs_processed_logprobs
from pipeline.kernels.cache import CacheMemory
from pipeline.models.drawing import row_seeds
from pipeline.models.engine import Asked
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampled, Sampler


class VllmEngine:
    """See `Engine`. A response is a request of its own, with its own seed.

    An adapter is named by its numbers and asked for by that name, so that what is served under it is never older than
    the policy. The one before it is unloaded. A server that has forgotten it is handed it again.
    """

    def __init__(self, server: VllmServer, folder: Path) -> None:
        """Nothing is sent yet.

        Args:
            folder: through which adapters reach the server, by this path.
        """
        self._server = server
        self._folder = folder
        self._base: ServedModel | None = None
        self._adapter: Adapter | None = None
        self._loaded: Path | None = None
        self._stored: WeakKeyDictionary[Policy, list[Adapter]] = WeakKeyDictionary()
        self._known_logprobs = False
        self._tried: WeakSet[Policy] = WeakSet()

    def sample(self, sampler: Sampler, asked: Asked, *, memory: CacheMemory | None = None) -> list[Sampled]:
        """See `Engine.sample`; the first prompts of a policy are a trial of the server.

        Raises:
            PipelineError: no server, other weights, log-probs of another kind, too little room for the prompts, or
                adapters that it does not take.
        """
        base = self._base = self._base or self._server.base_model()
        new = sampler.sampling.max_new_tokens
        longest = max(map(len, asked.prompts)) + new
        if base.max_length is not None and longest > base.max_length:
            raise self._server.problem(
                f"takes {base.max_length} tokens, and a prompt with its response may have {longest}. Start it with "
                f"--max-model-len {longest}, or lower sampling.max_prompt_tokens."
            )
        if needs_processed_logprobs(sampler) and not self._known_logprobs:
            check_logprobs(self._server, base, asked.prompts[0])
            self._known_logprobs = True
        model = self._hand_over(sampler.policy, base)
        if sampler.policy not in self._tried:
            self._try(sampler, base, model, asked.prompts)
            self._tried.add(sampler.policy)
        return self._complete(sampler, model, asked.prompts, row_seeds(asked.key, asked.rows), new)

    def close(self) -> None:
        """Have the server forget the last adapter."""
        self._forget(None)

    def _hand_over(self, policy: Policy, base: ServedModel) -> str:
        """The server's name of the policy's weights, which it has when this returns."""
        if policy not in self._stored:
            self._stored[policy] = stored_adapters(policy)
        adapter = self._adapter = adapter_of(policy, self._stored[policy])
        if adapter is None:
            return base.name
        place = adapter.write(self._folder)
        if place != self._loaded:
            self._server.load(place.name, place, rank=adapter.rank)
            self._forget(place)
        return place.name

    def _forget(self, instead: Path | None) -> None:
        former, self._loaded = self._loaded, instead
        if former is not None:
            self._server.unload(former.name)
            shutil.rmtree(former, ignore_errors=True)

    def _try(self, sampler: Sampler, base: ServedModel, model: str, prompts: Sequence[list[int]]) -> None:
        different = [list(prompt) for prompt in dict.fromkeys(map(tuple, prompts))][:PROMPTS]
        whole = Sampler(sampler.policy, sampler.tokenizer, sampler.sampling, sampler.stop_ids)
        new = min(NEW_TOKENS, sampler.sampling.max_new_tokens)
        sampled = self._complete(whole, model, different, range(len(different)), new)
        check_weights(self._server, whole, base, sampled)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._server.complete(request)
        except Forgotten:
            if self._adapter is None:
                raise
        place = self._adapter.write(self._folder)
        self._server.load(place.name, place, rank=self._adapter.rank)
        return self._server.complete(request)

    def _complete(
        self, sampler: Sampler, model: str, prompts: Sequence[list[int]], seeds: Sequence[int], new: int
    ) -> list[Sampled]:
        def respond(row: int) -> Sampled:
            request = request_for(sampler, model, prompts[row], seed=seeds[row], new=new)
            return read_response(self._server, sampler, request, self._answer(request))

        asked = range(len(prompts))
        found = dict(answers(self._server, respond, asked, concurrency=self._server.concurrency))
        return [found[row] for row in asked]
