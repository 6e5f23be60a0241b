"""A fresh reward head begins near ln 2 on any backbone, so a first loss that is far from it means something."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaModel

from pipeline.models.compute import Compute
from pipeline.models.reward import RewardModel
from pipeline.models.reward_loading import create_reward_model
from pipeline.params.base import Finetuning
from pipeline.params.schema import Params, TrainReward
from pipeline.preferences.pair import PreferencePair
from pipeline.training.loss_checks import initial_loss_problem
from pipeline.training.reward import shrink_fresh_head, train_reward
from tests.tiny_models import FULL, LORA, byte_level_tokenizer, changed, llama_config
from tests.training.recording import Recorder


@pytest.fixture(scope="module")
def loud_decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder whose final norm makes states of size 20, as those of many families do."""
    folder, tokenizer = tmp_path_factory.mktemp("loud"), byte_level_tokenizer()
    torch.manual_seed(1)
    network = LlamaModel(llama_config(tokenizer))
    torch.nn.init.constant_(network.norm.weight, 20.0)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def settings(params: Params) -> TrainReward:
    return changed(params.train_reward, num_train_epochs=1, per_device_train_batch_size=8, max_length=48)


def first_loss(model: RewardModel, pairs: list[PreferencePair], settings: TrainReward, compute: Compute) -> float:
    recorder = Recorder()
    train_reward(model, pairs, [], settings, recorder.run(compute))
    return recorder.rows[0]["loss"]


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
@pytest.mark.parametrize("seed", range(4))
def test_a_decoder_with_large_states_begins_near_ln_2(
    loud_decoder: Path,
    compute: Compute,
    text_pairs: list[PreferencePair],
    settings: TrainReward,
    finetuning: Finetuning,
    seed: int,
) -> None:
    plain, shrunk = (
        create_reward_model(loud_decoder, compute, max_length=48, seed=seed, finetuning=finetuning) for _ in range(2)
    )
    before = shrunk.head.weight.detach().clone()
    factor = shrink_fresh_head(shrunk, text_pairs)
    assert factor < 0.1 and torch.equal(shrunk.head.weight, before * factor)
    assert initial_loss_problem(first_loss(shrunk, text_pairs, settings, compute)) is None
    assert initial_loss_problem(first_loss(plain, text_pairs, settings, compute)) is not None


def test_a_head_with_small_margins_stays_as_it_was_drawn(
    encoder_folder: Path, compute: Compute, text_pairs: list[PreferencePair]
) -> None:
    model = create_reward_model(encoder_folder, compute, max_length=48, seed=2)
    with torch.no_grad():
        model.head.weight.mul_(0.5)
    before = model.head.weight.detach().clone()
    assert shrink_fresh_head(model, text_pairs) == 1.0
    assert torch.equal(model.head.weight, before)
    torch.nn.init.zeros_(model.head.weight)
    assert shrink_fresh_head(model, text_pairs) == 1.0
