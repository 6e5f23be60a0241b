"""A toy PPO task for tests: prompts, a score that counts letters, one rollout, one run."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.params.schema import Ppo, Sampling
from pipeline.seeding import torch_generator
from pipeline.training.ppo import train_ppo
from pipeline.training.rollout import Rollout, collect_rollout
from tests.tiny_models import SENTENCES
from tests.training.recording import Recorder

PROMPTS = [" ".join(text.split()[:count]) for text in SENTENCES for count in (1, 3)]
SAMPLING = Sampling(max_new_tokens=6, temperature=0.9, top_k=0, top_p=1.0, batch_size=64)


def count_e(texts: Sequence[str]) -> Tensor:
    """A toy reward model: how often the letter e occurs."""
    return torch.tensor([float(text.count("e")) for text in texts])


def train(
    policy: Policy,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    *,
    reference: Policy | None = None,
    score=count_e,
    seed: int = 0,
) -> Recorder:
    recorder = Recorder()
    train_ppo(
        policy,
        reference,
        tokenizer,
        PROMPTS,
        score,
        settings,
        SAMPLING,
        compute,
        seed=seed,
        **recorder.callbacks(),
    )
    return recorder


def rollout_of(
    policy: Policy,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    *,
    reference: Policy | None = None,
) -> Rollout:
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(settings.rollout_batch_size)]
    return collect_rollout(
        policy, reference, tokenizer, prompts, count_e, settings, SAMPLING, compute, torch_generator(0, "test")
    )


def hand_rollout(rollout: Rollout, **changes: Tensor) -> Rollout:
    return Rollout(**{**rollout.__dict__, **changes})
