"""Roles of PPO that nothing reads are elsewhere, and the policy is trained to the same bytes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from pipeline.models.compute import Compute
from pipeline.models.parked import Parked
from pipeline.models.reward import RewardModel
from pipeline.models.reward_loading import create_reward_model
from pipeline.params.optimize import Ppo
from pipeline.training import roles as module
from pipeline.training.ppo import train_ppo
from pipeline.training.residency import offloads, resident_roles
from pipeline.training.roles import RoleFolders, load_roles
from tests.tiny_models import FULL, changed
from tests.training.recording import Recorder, assert_same_bytes
from tests.training.toy_ppo import PROMPTS, SAMPLING


@pytest.fixture
def folders(tmp_path: Path, policy_folder: Path, decoder_folder: Path, compute: Compute) -> RoleFolders:
    model = create_reward_model(decoder_folder, compute, max_length=48, seed=0)
    model.save(tmp_path / "reward")
    return RoleFolders(policy=policy_folder, reference=policy_folder, reward_model=tmp_path / "reward")


def test_what_is_frozen_is_resident_while_it_is_read() -> None:
    always = {"policy", "critic"}
    assert resident_roles("sample", offloaded=True) == resident_roles("update", offloaded=True) == always
    assert resident_roles("log_probs", offloaded=True) == always
    assert resident_roles("score", offloaded=True) == always | {"reward_model"}
    assert resident_roles("reference_log_probs", offloaded=True) == always | {"reference"}
    for phase in ("sample", "score", "update"):
        assert resident_roles(phase, offloaded=False) == always | {"reward_model", "reference"}  # type: ignore[arg-type]


def test_a_cpu_has_nowhere_else_to_keep_them() -> None:
    assert offloads(True, torch.device("cuda")) and not offloads(False, torch.device("cuda"))
    assert not offloads(True, torch.device("cpu"))


def test_nothing_is_read_where_it_is_not_and_the_policy_has_the_same_bytes(
    folders: RoleFolders,
    settings: Ppo,
    tokenizer: PreTrainedTokenizerBase,
    compute: Compute,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a GPU, where weights that are elsewhere cannot be read: here they are no numbers meanwhile."""
    short = changed(settings, total_episodes=16, num_ppo_epochs=1, finetuning=FULL, offload_idle=True)
    monkeypatch.setattr(module, "check_same_texts", lambda *_: None)  # plain folders do not say
    for name in ("load_reward_model", "load_reference"):
        monkeypatch.setattr(module, name, partial(_aligned, getattr(module, name)))
    plain = load_roles(folders, short, tokenizer, compute, seed=0)
    assert plain.parked_reference is None
    monkeypatch.setattr(module, "offloads", lambda asked, device: asked)
    monkeypatch.setattr(Parked, "_leave", _leave_nothing)
    idle = load_roles(folders, short, tokenizer, compute, seed=0)
    rows = []
    for roles in (plain, idle):
        recorder = Recorder()
        train_ppo(roles, PROMPTS, short, SAMPLING, recorder.run(compute))
        rows.append(recorder.rows)
    assert rows[0] == rows[1]
    assert_same_bytes(idle.policy, plain.policy)
    assert idle.reference is not None and all(bool(one.isnan().all()) for one in idle.reference.parameters())


def test_what_is_on_the_device_when_a_network_reads_is_what_is_stated(
    folders: RoleFolders,
    settings: Ppo,
    tokenizer: PreTrainedTokenizerBase,
    compute: Compute,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The estimate of memory counts what `resident_roles` says."""
    short = changed(settings, total_episodes=8, rollout_batch_size=8, num_ppo_epochs=1, finetuning=FULL)
    frozen: dict[str, nn.Module] = {}
    for name in ("load_reward_model", "load_reference"):
        monkeypatch.setattr(module, name, partial(_kept, frozen, getattr(module, name)))
    monkeypatch.setattr(module, "check_same_texts", lambda *_: None)
    monkeypatch.setattr(module, "offloads", lambda asked, device: asked)
    monkeypatch.setattr(Parked, "_leave", _leave_nothing)
    roles = load_roles(folders, changed(short, offload_idle=True), tokenizer, compute, seed=0)
    found: dict[str, set[frozenset[str]]] = {"policy": set(), "reference": set(), "reward_model": set()}

    def note(role: str, *_: Any) -> None:
        here = {
            other
            for other, network in frozen.items()
            if not any(bool(one.isnan().any()) for one in network.parameters())
        }
        found[role].add(frozenset({"policy", "critic", *here}))

    for role, network in {**frozen, "policy": roles.policy}.items():
        network.register_forward_pre_hook(partial(note, role))
    train_ppo(roles, PROMPTS, short, SAMPLING, Recorder().run(compute))
    stated = {"policy": ("log_probs", "update"), "reference": ("reference_log_probs",), "reward_model": ("score",)}
    assert found == {
        role: {resident_roles(phase, offloaded=True) for phase in phases}  # type: ignore[arg-type]
        for role, phases in stated.items()
    }


def _kept(found: dict[str, nn.Module], load: Callable[..., nn.Module], *arguments: Any, **options: Any) -> nn.Module:
    network = load(*arguments, **options)
    found["reward_model" if isinstance(network, RewardModel) else "reference"] = network
    return network


def _aligned(load: Callable[..., nn.Module], *arguments: Any, **options: Any) -> nn.Module:
    """With weights where torch puts tensors: in a mapped file they begin anywhere, and a CPU rounds by that."""
    network = load(*arguments, **options)
    for parameter in network.parameters():
        parameter.data = parameter.data.clone()
    return network


def _leave_nothing(parked: Parked) -> None:
    for parameter, kept in parked._kept:
        parameter.data = torch.full_like(kept, torch.nan)
