"""Sampling from a policy: wide batches, a reused key-value cache, and one random number a token."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import ResponseBatch, join, tokenize_prompt
from pipeline.kernels.cache import preallocated_cache
from pipeline.models.backbone import position_ids, project_logits
from pipeline.models.drawing import Truncation, draw, row_uniforms, stream_key
from pipeline.models.policy import Policy
from pipeline.models.stopping import stop_token_ids
from pipeline.params.schema import Sampling
from pipeline.progress import progress_bar
from pipeline.resume import Resume


class Samples(NamedTuple):
    """Prompts with their responses, and the log-probs (B, R) under which the tokens were drawn, 0 after the end."""

    batch: ResponseBatch
    logprobs: Tensor


@dataclass(frozen=True)
class Sampler:
    """A policy with all that says how it answers."""

    policy: Policy
    """It samples under the weights that it has at that moment."""
    tokenizer: PreTrainedTokenizerBase
    sampling: Sampling
    """Length and temperature of a response, and how many are sampled at once."""
    stop_ids: Tensor
    """(S,), the tokens that end a response."""
    truncation: Truncation | None = None
    """What of the softmax is drawn from, and renormalised; None is all of it, which log-probs and KL of a policy are
    about."""

    @classmethod
    def of(
        cls,
        policy: Policy,
        tokenizer: PreTrainedTokenizerBase,
        sampling: Sampling,
        *,
        truncation: Truncation | None = None,
    ) -> "Sampler":
        """With the tokens that end a response of this policy, see `stop_token_ids`."""
        return cls(policy, tokenizer, sampling, stop_token_ids(tokenizer, sampling, policy.causal_lm), truncation)


@torch.no_grad()
def sample(sampler: Sampler, prompt_ids: Tensor, prompt_mask: Tensor, uniform: Tensor) -> Samples:
    """Sample one response for each row.

    Args:
        prompt_ids, prompt_mask: (B, P), left-padded.
        uniform: (B, at least `max_new_tokens`), the number that decides on each token, see `row_uniforms`.

    Returns:
        Prompts and responses; R is at most `max_new_tokens`, and the mask ends with the first token that ends a
        response. The log-probs are this network's, with its merged weights, number format and cache, at the
        temperature.
    """
    network, sampling = sampler.policy.causal_lm, sampler.sampling
    cache = preallocated_cache(network.config, prompt_ids.shape[1] + sampling.max_new_tokens)
    attention_mask = prompt_mask
    step_ids, step_positions = prompt_ids, position_ids(prompt_mask)
    stop_ids = sampler.stop_ids.to(prompt_ids.device)
    running = torch.ones(len(prompt_ids), dtype=torch.bool, device=prompt_ids.device)
    tokens: list[Tensor] = []
    logprobs: list[Tensor] = []
    masks: list[Tensor] = []
    for step in range(sampling.max_new_tokens):
        hidden = network.base_model(
            input_ids=step_ids,
            attention_mask=attention_mask,
            position_ids=step_positions,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        logits = project_logits(network, hidden[:, -1])
        drawn = draw(logits, uniform[:, step], temperature=sampling.temperature, truncation=sampler.truncation)
        next_ids = torch.where(running, drawn.token_ids, sampler.tokenizer.pad_token_id)
        tokens.append(next_ids)
        logprobs.append(torch.where(running, drawn.logprobs, 0.0))
        masks.append(running)
        attention_mask = torch.cat([attention_mask, running[:, None]], 1)
        running = running & ~torch.isin(next_ids, stop_ids)
        if not bool(running.any()):
            break
        step_ids, step_positions = next_ids[:, None], position_ids(attention_mask)[:, -1:]
    batch = join(prompt_ids, prompt_mask, torch.stack(tokens, 1), torch.stack(masks, 1))
    return Samples(batch, torch.stack(logprobs, 1))


def pad_prompts(prompts: Sequence[list[int]], *, pad_token_id: int) -> tuple[Tensor, Tensor]:
    """Left-pad token ids to (B, P) and their mask."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad_token_id, dtype=torch.long)
    mask = torch.zeros((len(prompts), width), dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = True
    return ids, mask


def sample_batches(
    sampler: Sampler,
    prompts: Sequence[str],
    *,
    generator: torch.Generator,
    title: str,
    resume: Resume | None = None,
) -> list[ResponseBatch]:
    """One response for each prompt text, `sampling.batch_size` at a time, in the order of the prompts.

    Every batch stays on the policy's device, padded to its own width. What a prompt is answered does not depend on the
    others, but for the rounding of matrix products of another shape.

    Args:
        prompts: texts.
        generator: on the CPU; it names the random numbers, and two policies with the same one meet the same.
        title: of the progress bar, and of this work among what `resume` keeps.
        resume: where an earlier execution may have left the batches it had sampled.
    """
    device, size = sampler.policy.causal_lm.device, sampler.sampling.batch_size
    encoded = [tokenize_prompt(sampler.tokenizer, prompt) for prompt in prompts]
    key = stream_key(generator)
    batches: list[ResponseBatch] = []
    if resume is not None and (state := resume.restore(title)) is not None:
        batches = [ResponseBatch(*(tensor.to(device) for tensor in tensors)) for tensors in state["batches"]]
    done = min(len(prompts), len(batches) * size)
    with progress_bar(total=len(prompts), initial=done, title=title, unit="sample") as bar:
        for start in range(done, len(prompts), size):
            chunk = encoded[start : start + size]
            ids, mask = pad_prompts(chunk, pad_token_id=sampler.tokenizer.pad_token_id)
            uniform = row_uniforms(key, range(start, start + len(chunk)), sampler.sampling.max_new_tokens)
            batches.append(sample(sampler, ids.to(device), mask.to(device), uniform.to(device)).batch)
            bar.update(len(chunk))
            if resume is not None:
                tensors = [[getattr(one, field.name) for field in fields(one)] for one in batches]
                resume.save_now({"batches": tensors}, title)
    return batches
