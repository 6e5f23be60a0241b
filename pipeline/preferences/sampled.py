"""Pairs of samples: the best and the worst response of a policy to each prompt, as a judge ranks them."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch

from pipeline.data.passages import Passage
from pipeline.data.records import record_id
from pipeline.judges.protocol import Judge
from pipeline.models.chunked_sampling import sample_texts
from pipeline.models.decoding import Continuation, decode_examples
from pipeline.models.sampling import Sampler
from pipeline.params.schema import CollectPreferences
from pipeline.preferences.collected import Collected
from pipeline.preferences.pair import PreferencePair
from pipeline.preferences.prompts import SplitPrompt
from pipeline.results.preferences import CollectionDetails
from pipeline.resume import Resume


@dataclass(frozen=True)
class Sampled:
    """Responses of a policy, those to one prompt adjacent, and what they took."""

    responses: list[Continuation]
    tokens: int
    """Number of tokens of prompts and responses together."""
    seconds: float


def sample_responses(
    sampler: Sampler,
    prompts: Sequence[SplitPrompt],
    *,
    copies: int,
    generator: torch.Generator,
    resume: Resume | None = None,
) -> Sampled:
    """`copies` responses to each prompt.

    Args:
        generator: advanced by the samples.
        resume: where an earlier execution that was killed may have left some of the responses.
    """
    start = perf_counter()
    texts = [prompt.prompt for prompt in prompts for _ in range(copies)]
    sampled = sample_texts(sampler, texts, generator=generator, title="sampling", resume=resume)
    tokens, seconds = sum(map(len, sampled)), perf_counter() - start
    return Sampled(decode_examples(sampled, sampler.tokenizer, sampler.stop_ids), tokens, seconds)


def collect_ranked(
    prompts: Sequence[SplitPrompt], samples: Sequence[Passage], judge: Judge, settings: CollectPreferences
) -> Collected:
    """Pairs of `rank_samples`, with what the judge tells of its verdicts."""
    copies = settings.samples_per_prompt
    pairs, ties = rank_samples(prompts, samples, judge, copies=copies, min_margin=settings.min_margin)
    details = CollectionDetails(judge_verdicts=judge.counts() or None)
    return Collected(pairs, ties, details, judge.verdicts())


def rank_samples(
    prompts: Sequence[SplitPrompt], samples: Sequence[Passage], judge: Judge, *, copies: int, min_margin: float
) -> tuple[list[PreferencePair], int]:
    """The best and the worst of each prompt's samples, as the judge ranks them.

    Args:
        samples: `copies` for each prompt, adjacent.
        min_margin: judge-score units; below it a prompt is a tie and gives no pair.

    Returns:
        Pairs, and the number of ties, among them prompts with fewer than two samples that the judge could rank.
    """
    drawn = [samples[i * copies : (i + 1) * copies] for i in range(len(prompts))]
    if len(samples) != copies * len(prompts):
        raise ValueError(f"{len(samples)} samples for {len(prompts)} prompts of {copies} each")
    scores = judge.rank([prompt.prompt for prompt in prompts], drawn)
    pairs = []
    for prompt, responses, ranks in zip(prompts, drawn, scores, strict=True):
        if np.isnan(ranks).all():
            continue
        best, worst = int(np.nanargmax(ranks)), int(np.nanargmin(ranks))
        margin = float(ranks[best] - ranks[worst])
        if best == worst or margin < min_margin:
            continue
        known = (float(ranks[best]), float(ranks[worst]), margin)
        pairs.append(_pair(prompt, responses[best], responses[worst], known))
    return pairs, len(prompts) - len(pairs)


def _pair(
    prompt: SplitPrompt, chosen: Passage, rejected: Passage, scores: tuple[float, float, float]
) -> PreferencePair:
    """With the scores of both, and the margin, which has the precision of the judge's own numbers."""
    best, worst, margin = (round(score, _DECIMALS) for score in scores)
    return PreferencePair(
        id=record_id(prompt.prompt, chosen.text, rejected.text),
        prompt_id=prompt.id,
        prompt=prompt.prompt,
        category=prompt.category,
        chosen=chosen.text,
        rejected=rejected.text,
        chosen_ended=chosen.ended,
        rejected_ended=rejected.ended,
        split=prompt.split,
        source="sampled",
        chosen_score=best,
        rejected_score=worst,
        margin=margin,
    )


_DECIMALS = 6
