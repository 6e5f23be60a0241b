"""The training stages as the estimate of their memory sees them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol, get_args

from transformers import PreTrainedTokenizerBase

from pipeline.data.passages import Passage
from pipeline.data.tokens import TokenizedExample
from pipeline.kernels.packing import group_pair
from pipeline.memory.work import Example, Model, Rollout, Work, largest
from pipeline.models.reward_texts import RewardTexts
from pipeline.params.base import Finetuning, OptimizerName

OnPolicy = Literal["ppo", "hybrid"]
"""Methods that train on what the policy samples meanwhile."""
ON_POLICY: tuple[OnPolicy, ...] = get_args(OnPolicy)


class Supervised(Protocol):
    """What decides the memory of a training on a fixed data set, as its section of params.yaml has it."""

    @property
    def finetuning(self) -> Finetuning: ...
    @property
    def per_device_train_batch_size(self) -> int: ...
    @property
    def gradient_accumulation_steps(self) -> int: ...
    @property
    def optimizer(self) -> OptimizerName: ...


class Preference(Supervised, Protocol):
    """What decides the memory of DPO."""

    @property
    def reference(self) -> str: ...


class Experience(Protocol):
    """What decides the memory of PPO and hybrid."""

    @property
    def finetuning(self) -> Finetuning: ...
    @property
    def per_device_train_batch_size(self) -> int: ...
    @property
    def rollout_batch_size(self) -> int: ...
    @property
    def advantage_estimator(self) -> str: ...
    @property
    def critic(self) -> str: ...
    @property
    def offload_idle(self) -> bool: ...
    @property
    def optimizer(self) -> OptimizerName: ...


def sft_work(config: Any, settings: Supervised, examples: Sequence[Example]) -> Work:
    """The stage train_sft.

    Args:
        examples: prompts with their responses, cut at `max_length`.
    """
    return _supervised(
        Model.of(config, writes=True), settings, examples, "train_sft", length_key="train_sft.max_length"
    )


def reward_work(config: Any, settings: Supervised, examples: Sequence[Example]) -> Work:
    """The stage train_reward.

    Args:
        examples: pairs as `reward_examples` gives them.
    """
    return _supervised(
        Model.of(config, writes=False), settings, examples, "train_reward", length_key="train_reward.max_length"
    )


def reward_examples(
    config: Any,
    texts: RewardTexts,
    pairs: Sequence[tuple[Passage, Passage]],
    *,
    shared_prompts: bool = True,
) -> list[Example]:
    """Pairs of whole texts as the reward model reads them; of many, the longest and some of the others.

    A decoder reads what both texts begin with once, where `shared_prompts` allows it.

    Args:
        texts: makes tokens of them.
    """
    if not pairs:
        return []
    shared = shared_prompts and Model.of(config, writes=False).is_decoder
    chosen, rejected = (texts.encode(side) for side in zip(*largest(pairs, _characters), strict=True))
    prompts = (_prompt(*both) if shared else 0 for both in zip(chosen, rejected, strict=True))
    return [
        Example.of_pair(prompt, len(one) - prompt, len(other) - prompt, shared=shared, writes=False)
        for prompt, one, other in zip(prompts, chosen, rejected, strict=True)
    ]


def _characters(pair: tuple[Passage, Passage]) -> int:
    return sum(len(one.text) for one in pair)


def _prompt(one: list[int], other: list[int]) -> int:
    """How many tokens both texts begin with, which the network then reads once."""
    return len(group_pair(one, other)[0][0].prompt_ids) if one[:1] == other[:1] else 0


def dpo_work(config: Any, settings: Preference, examples: Sequence[Example]) -> Work:
    """DPO.

    Args:
        examples: pairs as `dpo_examples` gives them.
    """
    model = Model.of(config, writes=True)
    work = _supervised(model, settings, examples, "optimize.dpo", length_key="score_reference.max_length")
    return replace(work, frozen=int(settings.reference == "frozen_copy"))


def dpo_examples(pairs: Sequence[tuple[TokenizedExample, TokenizedExample]]) -> list[Example]:
    """Pairs of a chosen and a rejected response, each after its prompt, in tokens."""
    return [
        Example.of_pair(
            len(chosen.prompt_ids),
            len(chosen.response_ids),
            len(rejected.response_ids),
            shared=chosen.prompt_ids == rejected.prompt_ids,
        )
        for chosen, rejected in pairs
    ]


def _supervised(
    model: Model, settings: Supervised, examples: Sequence[Example], section: str, *, length_key: str
) -> Work:
    return Work(
        section=section,
        length_key=length_key,
        model=model,
        finetuning=settings.finetuning,
        batch=settings.per_device_train_batch_size,
        examples=tuple(largest(examples, lambda example: example.planned)),
        accumulated=settings.gradient_accumulation_steps,
        optimizer=settings.optimizer,
    )


def ppo_work(
    config: Any,
    scorer: Any,
    settings: Experience,
    *,
    method: OnPolicy = "ppo",
    prompts: Sequence[int],
    new_tokens: int,
    max_prompt_tokens: int | None = None,
) -> Work:
    """PPO or hybrid.

    Args:
        config: of the policy.
        scorer: config of the reward model.
        settings: of `optimize.ppo` or `optimize.hybrid` in params.yaml.
        method: hybrid starts elsewhere than at its reference, which for it is a model of its own and not the policy
            with its adapters off.
        prompts: tokens of each.
        new_tokens: sampled for each.
        max_prompt_tokens: of `sampling`; the reward model reads whole prompts.
    """
    kept = kept_prompts(prompts, max_prompt_tokens)
    own_critic = settings.advantage_estimator == "gae" and settings.critic != "shared"
    return Work(
        section=f"optimize.{method}",
        length_key="sampling.max_new_tokens",
        model=Model.of(config, writes=True),
        finetuning=settings.finetuning,
        batch=settings.per_device_train_batch_size,
        examples=tuple(Example.of_text(length, new_tokens) for length in kept),
        frozen=int(method == "hybrid" or settings.finetuning.method == "full"),
        critics=int(own_critic),
        optimizer=settings.optimizer,
        offload_idle=settings.offload_idle,
        rollout=Rollout(
            settings.rollout_batch_size,
            new_tokens,
            Model.of(scorer, writes=False),
            text=max(prompts, default=1) + new_tokens,
        ),
    )


def prompt_tokens(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[int]:
    """The tokens of each prompt; of many prompts those of the longest and of some others, see `largest`."""
    chosen = largest(prompts, len)
    return [len(ids) for ids in tokenizer(chosen, verbose=False)["input_ids"]] if chosen else []


def kept_prompts(prompts: Sequence[int], max_prompt_tokens: int | None) -> list[int]:
    """The tokens that a policy reads of each prompt: at most `max_prompt_tokens`, see `encode_prompt`."""
    return [length if max_prompt_tokens is None else min(length, max_prompt_tokens) for length in prompts]
