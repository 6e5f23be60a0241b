"""What the policy writes while PPO trains it: a few rows of a few rollouts, for people to read."""

from collections.abc import Sequence

import torch

from pipeline.models.decoding import decode_responses
from pipeline.models.stopping import stop_token_ids
from pipeline.training.rollout import PpoSetup, Rollout
from pipeline.training.run import RolloutSample

_ROLLOUTS = 10
_ROWS = 4


def shows(iteration: int, iterations: int) -> bool:
    """Whether samples of this rollout (1-based) are kept: of the first, the last, and evenly of some between."""
    every = -(-iterations // _ROLLOUTS)
    return iteration in (1, iterations) or iteration % every == 0


def rollout_samples(
    setup: PpoSetup, prompts: Sequence[str], rollout: Rollout, *, iteration: int
) -> list[RolloutSample]:
    """The first response to each of the first prompts of a rollout; every rollout has other prompts.

    Args:
        prompts: of the rollout, those of one prompt in adjacent places.
    """
    chosen = list(range(0, len(prompts), setup.settings.samples_per_prompt))[:_ROWS]
    rows = rollout.batch.rows(torch.tensor(chosen, device=rollout.batch.input_ids.device))
    stop_ids = stop_token_ids(setup.roles.tokenizer, setup.sampling, setup.roles.policy.causal_lm)
    continuations = decode_responses(rows, setup.roles.tokenizer, stop_ids)
    return [
        {
            "iteration": iteration,
            "prompt": prompts[index],
            "response": continuation.text,
            "score": rollout.scores[index].item(),
        }
        for index, continuation in zip(chosen, continuations, strict=True)
    ]
