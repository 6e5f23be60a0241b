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
from pipeline.models.policy import Policy
from pipeline.models.stopping import stop_token_ids
from pipeline.params.schema import Sampling
from pipeline.progress import progress_bar
from pipeline.resume import Resume

_DRAW_ROWS = 16


class Truncation(NamedTuple):
    """What of a softmax is drawn from: the `top_k` most probable tokens (0: all), and of these those with `top_p`."""

    top_k: int
    top_p: float


class Draws(NamedTuple):
    """`token_ids` (B,) and the log-probs (B,) under which they were drawn, fp32, in nats."""

    token_ids: Tensor
    logprobs: Tensor


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
def sample(sampler: Sampler, prompt_ids: Tensor, prompt_mask: Tensor, generator: torch.Generator) -> Samples:
    """Sample one response for each row.

    Args:
        prompt_ids, prompt_mask: (B, P), left-padded.
        generator: on the device of the prompts; one uniform number per row and possible step is drawn from it, so that
            two policies with the same generator meet the same numbers in every batch.

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
        drawn = draw(logits, generator, temperature=sampling.temperature, truncation=sampler.truncation)
        next_ids = torch.where(running, drawn.token_ids, sampler.tokenizer.pad_token_id)
        tokens.append(next_ids)
        logprobs.append(torch.where(running, drawn.logprobs, 0.0))
        masks.append(running)
        attention_mask = torch.cat([attention_mask, running[:, None]], 1)
        running = running & ~torch.isin(next_ids, stop_ids)
        if not bool(running.any()):
            # the next batch meets the same numbers however long this one was
            for _ in range(step + 1, sampling.max_new_tokens):
                torch.rand(len(prompt_ids), 1, generator=generator, device=prompt_ids.device, dtype=torch.float64)
            break
        step_ids, step_positions = next_ids[:, None], position_ids(attention_mask)[:, -1:]
    batch = join(prompt_ids, prompt_mask, torch.stack(tokens, 1), torch.stack(masks, 1))
    return Samples(batch, torch.stack(logprobs, 1))


def draw(
    logits: Tensor, generator: torch.Generator, *, temperature: float = 1.0, truncation: Truncation | None = None
) -> Draws:
    """Sample from softmax(logits / temperature), logits (B, V), by inverting its cumulative distribution.

    One uniform number a row, instead of one exponential a vocabulary entry as in `torch.multinomial`: 30 times
    less time at 50,000 entries on a CPU.

    Args:
        truncation: what of that softmax is drawn from, and renormalised; None is all of it.
    """
    uniform = torch.rand(len(logits), 1, generator=generator, device=logits.device, dtype=torch.float64)
    # a few rows at a time stay in a CPU's cache; a GPU wants all of them at once
    size = len(logits) if logits.is_cuda else _DRAW_ROWS
    parts = zip(logits.split(size), uniform.split(size), strict=True)
    drawn = [_draw(*part, temperature, truncation) for part in parts]
    return Draws(*(torch.cat(values) for values in zip(*drawn, strict=True)))


def _draw(logits: Tensor, uniform: Tensor, temperature: float, truncation: Truncation | None) -> Draws:
    logits = logits.float() / temperature
    if truncation is not None:
        logits = truncate(logits, truncation)
    probabilities = torch.softmax(logits, -1, dtype=torch.float32)
    # float64: over 50,000 entries an fp32 running sum loses the digits that tell rare tokens apart
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    total = cumulative[:, -1:]
    # right=True finds the first entry whose cumulative probability exceeds the number, so an entry of
    # probability 0 is never drawn
    drawn = torch.searchsorted(cumulative, uniform * total, right=True).clamp(max=logits.shape[-1] - 1)
    # no second pass over the vocabulary: what is drawn is hardly rarer than 1e-16, the steps of the uniform number, and
    # fp32 has all digits of such probabilities
    logprobs = (probabilities.gather(1, drawn) / total).log()
    return Draws(drawn.squeeze(1), logprobs.squeeze(1).float())


def truncate(logits: Tensor, truncation: Truncation) -> Tensor:
    """Apply top-k and top-p; untouched, and nothing sorted, when both are off."""
    if 0 < truncation.top_k < logits.shape[-1]:
        smallest_kept = logits.topk(truncation.top_k).values[:, -1:]
        logits = logits.masked_fill(logits < smallest_kept, -torch.inf)
    if truncation.top_p < 1.0:
        ordered, order = logits.sort(descending=True)
        probabilities = ordered.softmax(-1)
        # a token is dropped when those before it already hold top_p; nothing is before the first
        dropped = probabilities.cumsum(-1) - probabilities >= truncation.top_p
        logits = logits.masked_fill(dropped.scatter(1, order, dropped), -torch.inf)
    return logits


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

    Every batch stays on the policy's device, padded to its own width.

    Args:
        prompts: texts.
        generator: advanced by the samples.
        title: of the progress bar, and of this work among what `resume` keeps.
        resume: where an earlier execution may have left the batches it had sampled.
    """
    device, size = sampler.policy.causal_lm.device, sampler.sampling.batch_size
    encoded = [tokenize_prompt(sampler.tokenizer, prompt) for prompt in prompts]
    batches: list[ResponseBatch] = []
    if resume is not None and (state := resume.restore(title)) is not None:
        batches = [ResponseBatch(*(tensor.to(device) for tensor in tensors)) for tensors in state["batches"]]
        generator.set_state(state["generator"])
    done = min(len(prompts), len(batches) * size)
    with progress_bar(total=len(prompts), initial=done, title=title, unit="sample") as bar:
        for start in range(done, len(prompts), size):
            chunk = encoded[start : start + size]
            ids, mask = pad_prompts(chunk, pad_token_id=sampler.tokenizer.pad_token_id)
            batches.append(sample(sampler, ids.to(device), mask.to(device), generator).batch)
            bar.update(len(chunk))
            if resume is not None:
                tensors = [[getattr(one, field.name) for field in fields(one)] for one in batches]
                resume.save_now({"batches": tensors, "generator": generator.get_state()}, title)
    return batches
