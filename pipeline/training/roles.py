"""The networks of PPO, and how they are loaded."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from pipeline.data.passages import Passage
from pipeline.models.compute import Compute
from pipeline.models.critic import Critic, critic_from_policy, critic_from_reward_model
from pipeline.models.parked import Parked
from pipeline.models.policy import Policy, load_policy, load_reference
from pipeline.models.reward_loading import load_reward_model
from pipeline.models.text_format import check_same_texts
from pipeline.params.optimize import Ppo
from pipeline.training.residency import offloads

Scorer = Callable[[Sequence[Passage]], Tensor]
"""Texts (prompt and response) to scores (N,)."""


@dataclass(frozen=True)
class Roles:
    """The networks of PPO. One backbone serves as several of them where the settings allow it."""

    policy: Policy
    reference: Policy | None
    """Frozen; None when it is the policy with its adapters off."""
    critic: Critic | None
    """None when the policy has a value head, or when the advantages need no critic."""
    score: Scorer
    """The frozen reward model."""
    tokenizer: PreTrainedTokenizerBase
    parked_reference: Parked | None = None
    """The reference, where it waits in the memory of the host while it is not read."""

    def reading_reference(self) -> AbstractContextManager[None]:
        """Inside the block a policy gives the reference's log-probs: the reference, or the policy, adapters off."""
        if self.reference is None:
            return self.policy.reference()
        return nullcontext() if self.parked_reference is None else self.parked_reference.here()


@dataclass(frozen=True)
class RoleFolders:
    """Model folders that the roles are loaded from."""

    policy: Path
    """Where training starts."""
    reference: Path
    """The SFT policy, which may be the same."""
    reward_model: Path


def load_roles(
    folders: RoleFolders, settings: Ppo, tokenizer: PreTrainedTokenizerBase, compute: Compute, *, seed: int
) -> Roles:
    """Load policy, reference, critic and reward model as the settings share them.

    Args:
        tokenizer: of the policy.
        seed: of fresh adapters.

    Raises:
        PipelineError: reward model and policy were trained on texts of different formats, or the reward model cannot be
            the critic that the settings ask for.
    """
    check_same_texts(folders.reference, folders.reward_model)
    offloaded = offloads(settings.offload_idle, compute.device)
    # what waits elsewhere leaves the device before the next network comes
    score = _scorer(folders.reward_model, settings, compute, offloaded=offloaded)
    finetuning = settings.finetuning
    # adapters switched off are the reference, where training starts from it and does not touch it
    inside = finetuning.method == "lora" and folders.policy == folders.reference
    reference = None
    if not inside:
        reference = load_reference(
            folders.reference, compute, method=finetuning.method, quantization=finetuning.quantization
        )
    parked = Parked(reference, compute.device) if offloaded and reference is not None else None
    shared = settings.advantage_estimator == "gae" and settings.critic == "shared"
    return Roles(
        policy=load_policy(folders.policy, compute, finetuning=finetuning, seed=seed, with_values=shared),
        reference=reference,
        critic=_critic(folders, settings, tokenizer, compute, seed=seed),
        score=score,
        tokenizer=tokenizer,
        parked_reference=parked,
    )


def _scorer(folder: Path, settings: Ppo, compute: Compute, *, offloaded: bool) -> Scorer:
    model = load_reward_model(folder, compute, scores_alone=True)
    parked = Parked(model, compute.device) if offloaded else None

    def score(texts: Sequence[Passage]) -> Tensor:
        with nullcontext() if parked is None else parked.here():
            return model.score(texts, batch_size=settings.rollout_batch_size)

    return score


def _critic(
    folders: RoleFolders, settings: Ppo, tokenizer: PreTrainedTokenizerBase, compute: Compute, *, seed: int
) -> Critic | None:
    """A critic of its own, None where the policy has a value head or the advantages need no critic."""
    if settings.advantage_estimator != "gae" or settings.critic == "shared":
        return None
    if settings.critic == "policy":
        return critic_from_policy(folders.policy, compute, finetuning=settings.finetuning, seed=seed)
    # another copy than the one that scores, because this one is trained
    scorer = load_reward_model(folders.reward_model, compute)
    return critic_from_reward_model(scorer, tokenizer, compute, finetuning=settings.finetuning, seed=seed)
