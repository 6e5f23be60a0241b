"""Large reward models are decoders of many weights, and their files say so without a network."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.models import reward_loading
from pipeline.models.compute import Compute
from pipeline.models.reward_loading import create_reward_model, frozen_dtype
from pipeline.models.reward_size import LARGE, is_large


def test_decoders_of_many_weights_are_large() -> None:
    assert is_large(LARGE, decoder=True)
    assert not is_large(LARGE - 1, decoder=True) and not is_large(LARGE, decoder=False)


def test_stored_weights_say_it_without_a_network(
    decoder_folder: Path, encoder_folder: Path, compute: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly: one weight fewer than the bound is small. The bias of a decoder's head is ours, and no weight of it."""
    halved = replace(compute, dtype=torch.bfloat16)
    models = {
        name: create_reward_model(folder, compute, max_length=64, seed=0)
        for name, folder in (("decoder", decoder_folder), ("encoder", encoder_folder))
    }
    for name, model in models.items():
        model.save(tmp_path / name)
    weights, others = (models[name].network.num_parameters() for name in ("decoder", "encoder"))
    assert others < weights
    monkeypatch.setattr(reward_loading, "_shape", lambda folder: pytest.fail(f"a network is built for {folder}"))
    for bound, expected in ((0, torch.bfloat16), (1, "auto")):
        monkeypatch.setattr("pipeline.models.reward_size.LARGE", weights - 1 + bound)
        assert frozen_dtype(tmp_path / "decoder", halved) == expected
    assert frozen_dtype(tmp_path / "encoder", halved) == "auto", "it has fewer weights"


def test_a_config_says_it_where_no_weights_are_stored(
    decoder_folder: Path, compute: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_bytes((decoder_folder / "config.json").read_bytes())
    monkeypatch.setattr("pipeline.models.reward_size.LARGE", 1000)
    assert frozen_dtype(tmp_path, replace(compute, dtype=torch.bfloat16)) == torch.bfloat16
