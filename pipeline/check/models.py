"""Whether the models that a run names exist and fit together; their weights are not loaded."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from pipeline.check.findings import Findings
from pipeline.check.settings import Settings
from pipeline.models.sources import check_writes, load_source_config, load_source_tokenizer, locate
from pipeline.models.text_length import longest_text
from pipeline.params.base import ModelSource

_CHECKPOINTS, _ADAPTERS = 6, 0.5
"""Disk space of the checkpoints of a policy, in sizes of its weights: trained in full, and with usual adapters."""


@dataclass(frozen=True)
class Readers:
    """The tokenizers and configs of the policy and the reward model, which read the texts."""

    policy: PreTrainedTokenizerBase
    folder: Path
    """A folder with the policy's tokenizer, as artifacts/models/policy will have it."""
    config: Any
    """The config of the policy."""
    reward: PreTrainedTokenizerBase
    reward_config: Any

    @property
    def positions(self) -> int | None:
        """The longest sequence of the policy, in tokens."""
        return longest_text(self.config)

    @property
    def reward_positions(self) -> int | None:
        """The longest sequence of the reward model, in tokens."""
        return longest_text(self.reward_config)


def check_models(settings: Settings, findings: Findings, scratch: Path) -> Readers | None:
    """Look for every model, and load the tokenizers.

    Args:
        settings: the parameters of the run.
        findings: gets what is wrong.
        scratch: a folder for the policy's tokenizer.

    Returns:
        None where a model cannot be found or read.
    """
    before = len(findings.errors)
    for key, model in _named(settings):
        with findings.collecting():
            locate(model, key=key)
    if len(findings.errors) > before:
        return None
    readers = None
    with findings.collecting():
        readers = _load_readers(settings, findings, scratch)
    if readers is not None:
        _check_stop_tokens(settings, readers, findings)
        _check_space(settings, findings)
    return readers


def count_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[int]:
    """The number of tokens of each text, without special tokens around it."""
    if not texts:
        return []
    return [len(ids) for ids in tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]]


def _named(settings: Settings) -> list[tuple[str, ModelSource]]:
    named: list[tuple[str, ModelSource]] = [
        ("models.policy.source", settings.models.policy),
        ("models.reward_backbone.source", settings.models.reward_backbone),
    ]
    named += [(f"evaluate_reward.candidates, {model.name}, source", model) for model in settings.candidates]
    return (
        [*named, ("judge.reward_model.source", settings.judge_model)]
        if "reward_model" in (settings.judge_kind, settings.second_judge)
        else named
    )


def _load_readers(settings: Settings, findings: Findings, scratch: Path) -> Readers:
    policy, backbone = settings.models.policy, settings.models.reward_backbone
    tokenizer = load_source_tokenizer(policy, key="models.policy.source")
    shutil.rmtree(scratch, ignore_errors=True)
    tokenizer.save_pretrained(scratch)
    reward = load_source_tokenizer(backbone, key="models.reward_backbone.source")
    config = load_source_config(backbone, key="models.reward_backbone.source")
    _check_reward_model(settings, findings, config, same_tokens=reward.get_vocab() == tokenizer.get_vocab())
    written = load_source_config(policy, key="models.policy.source")
    check_writes(written, key="models.policy.source")
    return Readers(tokenizer, scratch, written, reward, config)


def _check_reward_model(settings: Settings, findings: Findings, config: Any, *, same_tokens: bool) -> None:
    source = settings.models.reward_backbone
    if source.is_reward_model and getattr(config, "num_labels", 1) != 1:
        findings.error(
            f"{source.source} gives {config.num_labels} numbers for a text, and a reward model gives one.",
            "models.reward_backbone.is_reward_model",
            "false",
        )
    if "ppo" in settings.methods and settings.trainings.ppo.critic == "reward_model" and not same_tokens:
        findings.error(
            "the critic starts as the reward model, which has to be a decoder with the policy's tokenizer, and "
            f"{source.source} has another one.",
            "optimize.ppo.critic",
            "shared",
        )


def _check_stop_tokens(settings: Settings, readers: Readers, findings: Findings) -> None:
    for text in settings.stop_tokens:
        if (count := len(readers.policy(text, add_special_tokens=False)["input_ids"])) != 1:
            findings.error(f"{text!r} is {count} tokens of the policy, and has to be one.", "sampling.stop_tokens")


def _check_space(settings: Settings, findings: Findings) -> None:
    """Warn where the weights of all policies, estimated roughly, will take more than the disk has free."""
    folder = Path(locate(settings.models.policy, key="models.policy.source").name)
    if not folder.is_dir():
        return
    # a packed GGUF file grows about threefold when it is unpacked
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    size += sum(3 * path.stat().st_size for path in folder.glob("*.gguf"))
    trained = settings.trainings
    full = any(one.finetuning.method == "full" for one in (trained.dpo, trained.ppo, trained.hybrid))
    # the starting model and the released ones; of each policy its checkpoints, which DVC's cache links to
    wholes = 2 + len(settings.methods) + settings.policies * (_CHECKPOINTS if full else _ADAPTERS)
    needed, free = round(size * wholes), shutil.disk_usage(Path()).free
    if needed > free:
        findings.warning(
            f"{settings.policies} policies with their checkpoints may take {needed / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB of the disk are free (`make gc` says what of DVC's cache nothing needs).",
            "optimize.seeds",
        )
