"""Sampling for many prompts: chunk by chunk, each kept in a file of its own until the stage has ended."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import ResponseBatch, TokenizedExample, collate, tokenize_prompt
from pipeline.group import from_first, is_first, map_dealt
from pipeline.kernels.cache import CacheMemory
from pipeline.models.chunks import Chunk, cache_places, plan_chunks
from pipeline.models.drawing import row_uniforms, stream_key
from pipeline.models.engine import Asked
from pipeline.models.footprint import NetworkSize
from pipeline.models.machine import total_memory
from pipeline.models.sampling import Sampled, Sampler, sample
from pipeline.params.schema import Sampling
from pipeline.progress import progress_bar
from pipeline.resume import Resume, State


class Samples(NamedTuple):
    """Prompts with their responses, and the log-probs (B, R) under which the tokens were drawn, 0 after the end."""

    batch: ResponseBatch
    logprobs: Tensor


class OwnEngine:
    """The policy's network, on its device."""

    def sample(self, sampler: Sampler, asked: Asked, *, memory: CacheMemory | None = None) -> list[Sampled]:
        """See `Engine.sample`."""
        uniform = row_uniforms(asked.key, asked.rows, sampler.sampling.max_new_tokens)
        return sample(sampler, asked.prompts, uniform, memory=memory)


def sample_prompts(
    sampler: Sampler,
    prompts: Sequence[list[int]],
    *,
    key: int,
    title: str = "",
    resume: Resume | None = None,
    on_chunk: Callable[[int], object] = lambda prompts: None,
) -> list[Sampled]:
    """One response to each prompt, chunk by chunk, in the order of the prompts.

    In fp32 what a prompt is answered does not depend on the others or on the chunks, but for the rounding of matrix
    products of another shape.

    Several processes share the chunks, which are the same for any number of them. The first alone reads and writes what
    is kept, so other processes, or fewer or more, can go on with it.

    Args:
        prompts: token ids.
        key: of the random numbers, see `stream_key`; prompt `i` meets those of row `i`.
        title: of this work among what `resume` keeps.
        resume: where an earlier execution may have left chunks that it had sampled.
        on_chunk: called with the number of prompts of each chunk that is done.
    """
    found: dict[int, Sampled] = {}

    def take(work: "_Work", state: State) -> None:
        found.update(zip(work.chunk.rows, work.responses(state), strict=True))
        on_chunk(len(work.chunk.rows))

    # the first process's, whose machine may have more memory than others
    chunks = from_first(lambda: chunks_of(sampler, [len(prompt) for prompt in prompts]))
    works = [
        _Work(resume, f"{title} {number:05}", key, chunk, [prompts[row] for row in chunk.rows])
        for number, chunk in enumerate(chunks)
    ]
    left, keeps = [], from_first(lambda: resume is not None)
    for work in works:
        if (state := from_first(work.restore) if keeps else None) is None:
            left.append(work)
        else:
            take(work, state)
    memory = CacheMemory(max((work.chunk.places for work in left), default=0))
    with sampler.policy.packed_head():
        for work, state in zip(left, map_dealt(lambda work: work.sample(sampler, memory), left), strict=True):
            if is_first() and resume is not None:
                resume.save_now(state, work.part)
            take(work, state)
    return [found[row] for row in range(len(prompts))]


def chunks_of(sampler: Sampler, lengths: Sequence[int]) -> list[Chunk]:
    """How prompts of these lengths are sampled, by `sampling.batch_size` and the memory of the device."""
    network = sampler.policy.causal_lm
    size = NetworkSize.of(network.config)
    kind = network.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else network.dtype
    places = cache_places(size, number=dtype.itemsize, memory=total_memory(network.device))
    new, batch_size = sampler.sampling.max_new_tokens, sampler.sampling.batch_size
    return plan_chunks(lengths, new=new, batch_size=batch_size, places=places)


def encode_prompt(tokenizer: PreTrainedTokenizerBase, sampling: Sampling, prompt: str) -> list[int]:
    """Ids of a prompt, of a longer one than `sampling.max_prompt_tokens` the last, behind the BOS that it has."""
    ids, limit = tokenize_prompt(tokenizer, prompt), sampling.max_prompt_tokens
    if limit is None or len(ids) <= limit:
        return ids
    kept = [ids[0]] if ids[0] == tokenizer.bos_token_id and limit > 1 else []
    return kept + ids[len(ids) - limit + len(kept) :]


def _encoded(sampler: Sampler, prompts: Sequence[str]) -> list[list[int]]:
    """Of each prompt, which is tokenised once, however many samples it has."""
    known = {prompt: encode_prompt(sampler.tokenizer, sampler.sampling, prompt) for prompt in dict.fromkeys(prompts)}
    return [known[prompt] for prompt in prompts]


def cut_notice(tokenizer: PreTrainedTokenizerBase, sampling: Sampling, prompts: Sequence[str]) -> str | None:
    """A sentence that counts the prompts which `sampling.max_prompt_tokens` cuts; None where it cuts none."""
    limit = sampling.max_prompt_tokens
    if limit is None:
        return None
    cut = sum(len(tokenize_prompt(tokenizer, prompt)) > limit for prompt in prompts)
    if not cut:
        return None
    return (
        f"warning: {cut} of {len(prompts)} prompts are longer than sampling.max_prompt_tokens ({limit}): the policy "
        "reads their last tokens, judge and reward model the whole"
    )


def sample_texts(
    sampler: Sampler,
    prompts: Sequence[str],
    *,
    generator: torch.Generator,
    title: str,
    resume: Resume | None = None,
) -> list[TokenizedExample]:
    """One response for each prompt text, see `sample_prompts`.

    Args:
        generator: on the CPU; it names the random numbers, and two policies with the same one meet the same.
        title: of the progress bar, and of this work among what `resume` keeps.
    """
    if notice := cut_notice(sampler.tokenizer, sampler.sampling, prompts):
        print(notice, flush=True)
    encoded = _encoded(sampler, prompts)
    key = stream_key(generator)
    with progress_bar(total=len(prompts), title=title, unit="sample") as bar:
        sampled = sample_prompts(sampler, encoded, key=key, title=title, resume=resume, on_chunk=bar.update)
    return [one.example for one in sampled]


def sample_batch(sampler: Sampler, prompts: Sequence[str], generator: torch.Generator) -> Samples:
    """One response for each prompt text, together on the policy's device; see `sample_texts`, which tells of cuts."""
    encoded = _encoded(sampler, prompts)
    sampled = sample_prompts(sampler, encoded, key=stream_key(generator))
    samples = together(sampled, pad_token_id=sampler.tokenizer.pad_token_id)
    device = sampler.policy.causal_lm.device
    return Samples(samples.batch.to(device), samples.logprobs.to(device))


def together(sampled: Sequence[Sampled], *, pad_token_id: int) -> Samples:
    """One batch of responses, on the CPU."""
    batch = collate([one.example for one in sampled], pad_token_id=pad_token_id)
    return Samples(batch, pad_sequence([one.logprobs for one in sampled], batch_first=True))


@dataclass(frozen=True)
class _Work:
    """A chunk, whose responses lie in a file of their own, which is written once."""

    resume: Resume | None
    part: str
    key: int
    chunk: Chunk
    prompts: Sequence[list[int]]

    def sample(self, sampler: Sampler, memory: CacheMemory) -> State:
        """The responses as they are kept, and as one process hands them to the others."""
        engine = sampler.engine or OwnEngine()
        sampled = engine.sample(sampler, Asked(self.prompts, self.key, self.chunk.rows), memory=memory)
        ids = [token for one in sampled for token in one.example.response_ids]
        return {
            "key": self.key,
            "rows": list(self.chunk.rows),
            "lengths": [len(one.logprobs) for one in sampled],
            "ids": torch.tensor(ids),
            "logprobs": torch.cat([one.logprobs for one in sampled]),
        }

    def restore(self) -> State | None:
        """What an earlier execution has sampled; None where it has not, or other prompts or with other numbers."""
        state = None if self.resume is None else self.resume.restore(self.part)
        if state is None or (state["key"], state["rows"]) != (self.key, list(self.chunk.rows)):
            return None
        return state

    def responses(self, state: State) -> list[Sampled]:
        """Those of the chunk's prompts."""
        bounds = torch.tensor([0, *state["lengths"]]).cumsum(0).tolist()
        ids, logprobs = state["ids"].tolist(), state["logprobs"]
        return [
            Sampled(TokenizedExample(prompt, ids[start:stop]), logprobs[start:stop])
            for prompt, (start, stop) in zip(self.prompts, pairwise(bounds), strict=True)
        ]
