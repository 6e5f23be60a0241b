"""The reward loss against `trl.RewardTrainer`: the trainer's own code computes the loss of a batch that we made."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification

from pipeline.models.compute import Compute
from pipeline.models.reward_loading import create_reward_model
from pipeline.objectives.preference import bradley_terry_loss
from pipeline.preferences.pair import PreferencePair

trl = pytest.importorskip("trl", reason="TRL is an oracle of the tests, never a dependency of what runs")

MARGINS = [0.5, 0.0, 2.0, 0.1, 1.0, 0.3, 0.7, 0.2]


@pytest.mark.parametrize("options", [{}, {"margins": True}, {"centering_coef": 0.05}], ids=str)
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_loss_and_gradients_are_those_of_trl(
    encoder_folder: Path,
    decoder_folder: Path,
    compute: Compute,
    text_pairs: list[PreferencePair],
    tmp_path: Path,
    kind: str,
    options: dict[str, Any],
) -> None:
    ours = create_reward_model(encoder_folder if kind == "encoder" else decoder_folder, compute, max_length=64, seed=0)
    ours.save(tmp_path / "model")
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    assert theirs.config.num_labels == 1
    trainer = trl.RewardTrainer(
        model=theirs,
        args=trl.RewardConfig(
            output_dir=str(tmp_path / "out"),
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to="none",
            center_rewards_coefficient=options.get("centering_coef"),
            disable_dropout=True,
        ),
        train_dataset=Dataset.from_list([{"chosen_ids": [5, 6], "rejected_ids": [5, 7]}]),
        processing_class=ours.tokenizer,
    )
    expected = trainer.compute_loss(trainer.model.eval(), trl_batch(ours, text_pairs, options))
    expected.backward()

    chosen, rejected = (ours(*ours.tokenize([pair.passages[side] for pair in text_pairs])) for side in (0, 1))
    margins = torch.tensor(MARGINS) if "margins" in options else None
    loss = bradley_terry_loss(
        chosen, rejected, margins=margins, centering_coef=options.get("centering_coef", 0.0)
    ).mean()
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    found = dict(ours.network.named_parameters())
    compared = 0
    for name, parameter in trainer.model.named_parameters():
        if parameter.grad is not None:
            assert torch.allclose(found[name].grad, parameter.grad, atol=1e-5), name
            compared += 1
    assert compared > 10


def trl_batch(ours: Any, pairs: list[PreferencePair], options: dict[str, Any]) -> dict[str, torch.Tensor]:
    from trl.trainer.reward_trainer import DataCollatorForPreference

    end = [ours.tokenizer.eos_token_id] if ours.is_decoder else []
    rows = [
        {
            # TRL, too, appends EOS where a tokenizer puts nothing behind a text
            "chosen_ids": ours.tokenizer(pair.chosen)["input_ids"] + end,
            "rejected_ids": ours.tokenizer(pair.rejected)["input_ids"] + end,
            **({"margin": margin} if "margins" in options else {}),
        }
        for pair, margin in zip(pairs, MARGINS, strict=True)
    ]
    return DataCollatorForPreference(pad_token_id=ours.tokenizer.pad_token_id)(rows)
