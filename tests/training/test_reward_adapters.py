"""A reward model of adapters on a frozen backbone: it learns, little is trained, and what is saved is whole."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.models.compute import Compute
from pipeline.models.reward_loading import create_reward_model, load_reward_model
from pipeline.params.schema import Params
from pipeline.preferences.pair import PreferencePair
from pipeline.training.reward import train_reward
from tests.tiny_models import LORA, changed
from tests.training.recording import Recorder, pair_accuracy


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_it_learns_and_is_saved_whole(
    kind: str,
    dtype: torch.dtype,
    quantization: str,
    encoder_folder: Path,
    decoder_folder: Path,
    compute: Compute,
    params: Params,
    tmp_path: Path,
    text_pairs: list[PreferencePair],
) -> None:
    """Of adapters that were trained above weights in 4 bits, merged into those that were never rounded, too."""
    if quantization == "nf4":
        pytest.importorskip("bitsandbytes")
    tuned = LORA.model_copy(update={"quantization": quantization})
    settings = changed(
        params.train_reward, learning_rate=1e-2, warmup_ratio=0.0, num_train_epochs=12, per_device_train_batch_size=4
    )
    used = replace(compute, dtype=dtype)
    folder = encoder_folder if kind == "encoder" else decoder_folder
    model = create_reward_model(folder, used, max_length=48, seed=0, finetuning=tuned)
    frozen = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen and all("lora_" in n or "score" in n or "classifier" in n for n, p in model.named_parameters()
                          if p.requires_grad)  # fmt: skip
    recorder = Recorder()
    train_reward(model, text_pairs, text_pairs[:4], settings, recorder.run(used))
    assert pair_accuracy(model, text_pairs) == 1.0
    assert not any("lora_" in name for name in model.state_dict())
    model.save(tmp_path)
    loaded = load_reward_model(tmp_path, compute)
    texts = [pair.passages[0] for pair in text_pairs[:4]]
    assert torch.allclose(loaded.score(texts, batch_size=4), model.score(texts, batch_size=4), atol=1e-5)


@pytest.mark.parametrize("fused", [True, False])
def test_adapters_on_frozen_bf16_score_outside_of_training(
    decoder_folder: Path, compute: Compute, text_pairs: list[PreferencePair], fused: bool
) -> None:
    """Without the fused path the adapters' fp32 would meet bf16 inputs."""
    used = replace(compute, dtype=torch.bfloat16, fused_adapters=fused)
    model = create_reward_model(decoder_folder, used, max_length=48, seed=0, finetuning=LORA)
    assert 0.0 <= pair_accuracy(model, text_pairs) <= 1.0
    assert model.score([pair.passages[0] for pair in text_pairs], batch_size=4).isfinite().all()
