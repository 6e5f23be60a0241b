"""PPO on weights in 4 bits, its roles loaded as in its stage: adapters learn, codes stay, a kill costs nothing."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import TokenizedExample
from pipeline.kernels.quantized import QuantizedLinear
from pipeline.models.checkpoints import save_policy
from pipeline.models.compute import Compute
from pipeline.models.policy import load_policy
from pipeline.models.reward_loading import create_reward_model
from pipeline.models.scoring import response_logps
from pipeline.models.text_format import TextFormat
from pipeline.params.optimize import Ppo
from pipeline.resume import Resume
from pipeline.training import roles as module
from pipeline.training.ppo import train_ppo
from pipeline.training.roles import RoleFolders, Roles, load_roles
from tests.tiny_models import LORA, changed
from tests.training.recording import Recorder
from tests.training.test_resuming import assert_goes_on
from tests.training.toy_ppo import PROMPTS, SAMPLING

pytest.importorskip("bitsandbytes")

QLORA = LORA.model_copy(update={"quantization": "nf4"})
EXAMPLE = [TokenizedExample([11, 12], [20, 21, 22])]


@pytest.fixture
def folders(
    tmp_path: Path, policy_folder: Path, decoder_folder: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> RoleFolders:
    """The reward model was trained on weights in 4 bits, too, and saved merged."""
    model = create_reward_model(decoder_folder, compute, max_length=48, seed=0, finetuning=QLORA)
    model.merge_adapters()
    model.save(tmp_path / "reward")
    monkeypatch.setattr(module, "check_same_texts", lambda *_: None)  # plain folders do not say
    return RoleFolders(policy=policy_folder, reference=policy_folder, reward_model=tmp_path / "reward")


def networks_of(roles: Roles) -> list[nn.Module]:
    return [one for one in (roles.policy, roles.critic, roles.reference) if one is not None]


def codes_of(roles: Roles) -> list[torch.Tensor]:
    return [
        layer.weight
        for network in networks_of(roles)
        for layer in network.modules()
        if isinstance(layer, QuantizedLinear)
    ]


@pytest.mark.parametrize("critic", ["shared", "policy", "reward_model"])
def test_every_role_learns_in_its_adapters_alone(
    critic: str, folders: RoleFolders, settings: Ppo, tokenizer: PreTrainedTokenizerBase, compute: Compute
) -> None:
    """Train from ratio 1, which is checked at the first step; the reference is the policy with its adapters off."""
    plan = changed(settings, total_episodes=16, finetuning=QLORA, critic=critic)
    roles = load_roles(folders, plan, tokenizer, compute, seed=0)
    assert (roles.critic is None) == (critic == "shared") and roles.reference is None
    codes = [one.clone() for one in codes_of(roles)]
    learning = {
        (at, name): parameter
        for at, network in enumerate(networks_of(roles))
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
    }
    before = {name: parameter.detach().clone() for name, parameter in learning.items()}
    with roles.reading_reference(), torch.no_grad():
        reference = response_logps(roles.policy, EXAMPLE, compute, pad_token_id=0)
    recorder = Recorder()
    train_ppo(roles, PROMPTS, plan, SAMPLING, recorder.run(compute))
    assert recorder.rows
    assert [name for name, parameter in learning.items() if torch.equal(parameter, before[name])] == []
    assert codes and all(map(torch.equal, codes, codes_of(roles)))
    with roles.reading_reference(), torch.no_grad():
        assert torch.equal(response_logps(roles.policy, EXAMPLE, compute, pad_token_id=0), reference)


def test_hybrid_has_a_reference_of_its_own_in_4_bits(
    tmp_path: Path, folders: RoleFolders, settings: Ppo, tokenizer: PreTrainedTokenizerBase, compute: Compute
) -> None:
    """It starts from adapters that are merged before the weights are quantised."""
    start = load_policy(folders.policy, compute, finetuning=QLORA)
    with torch.no_grad():
        for name, parameter in start.named_parameters():
            if "lora_B" in name:
                parameter += 0.1
    save_policy(
        start, tokenizer, tmp_path / "dpo", start=folders.policy, root=tmp_path.parent, texts=TextFormat("transcript")
    )
    apart = RoleFolders(policy=tmp_path / "dpo", reference=folders.reference, reward_model=folders.reward_model)
    plan = changed(settings, total_episodes=16, finetuning=QLORA)
    roles = load_roles(apart, plan, tokenizer, compute, seed=0)
    assert roles.reference is not None and any(isinstance(one, QuantizedLinear) for one in roles.reference.modules())
    recorder = Recorder()
    train_ppo(roles, PROMPTS, plan, SAMPLING, recorder.run(compute))
    assert recorder.rows


@pytest.mark.slow(beside="test_every_role_learns_in_its_adapters_alone")
def test_a_run_that_was_killed_ends_with_the_same_bytes(
    tmp_path: Path, folders: RoleFolders, settings: Ppo, tokenizer: PreTrainedTokenizerBase, compute: Compute
) -> None:
    plan = changed(settings, total_episodes=16, rollout_batch_size=8, num_ppo_epochs=1, finetuning=QLORA)

    def run(recorder: Recorder, resume: Resume | None) -> list[nn.Module]:
        roles = load_roles(folders, plan, tokenizer, compute, seed=0)
        train_ppo(roles, PROMPTS, plan, SAMPLING, recorder.run(compute, resume=resume))
        return networks_of(roles)

    assert_goes_on(run, tmp_path / "state")
