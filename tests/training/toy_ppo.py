"""A toy PPO task for tests: prompts, a score that counts letters, one rollout, one run."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from pipeline.data.passages import Passage
from pipeline.models.compute import Compute
from pipeline.models.critic import Critic
from pipeline.models.policy import Policy
from pipeline.params.optimize import Ppo
from pipeline.params.schema import Sampling
from pipeline.seeding import torch_generator
from pipeline.training.controllers import RunningMoments
from pipeline.training.ppo import next_prompts, train_ppo
from pipeline.training.roles import Roles, Scorer
from pipeline.training.rollout import PpoSetup, Rollout, collect_rollout
from tests.tiny_models import SENTENCES
from tests.training.recording import Recorder

PROMPTS = [" ".join(text.split()[:count]) for text in SENTENCES for count in (1, 3)]
SAMPLING = Sampling(max_new_tokens=6, temperature=0.9, stop_tokens=[], batch_size=64, max_prompt_tokens=None)


def count_e(passages: Sequence[Passage]) -> Tensor:
    """A toy reward model: how often the letter e occurs."""
    return torch.tensor([float(one.text.count("e")) for one in passages])


def roles_of(
    policy: Policy,
    tokenizer: PreTrainedTokenizerBase,
    *,
    reference: Policy | None = None,
    critic: Critic | None = None,
    score: Scorer = count_e,
) -> Roles:
    return Roles(policy, reference, critic, score, tokenizer)


def train(
    policy: Policy,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    *,
    reference: Policy | None = None,
    critic: Critic | None = None,
    score: Scorer = count_e,
    seed: int = 0,
) -> Recorder:
    recorder = Recorder()
    roles = roles_of(policy, tokenizer, reference=reference, critic=critic, score=score)
    train_ppo(roles, PROMPTS, settings, SAMPLING, recorder.run(compute, seed=seed))
    return recorder


def rollout_of(roles: Roles, settings: Ppo, compute: Compute, **changes: Any) -> Rollout:
    """The first rollout of a run; `changes` are further arguments of `collect_rollout`."""
    stream = itertools.cycle(PROMPTS)
    arguments = {"kl_coef": settings.kl_coef, "moments": RunningMoments()} | changes
    setup = PpoSetup(roles, settings, SAMPLING, compute)
    return collect_rollout(setup, next_prompts(stream, settings), torch_generator(0, "test"), **arguments)


def hand_rollout(rollout: Rollout, **changes: Tensor) -> Rollout:
    return replace(rollout, **changes)
