"""DPO against `trl.DPOTrainer`: the trainer's own code computes the loss of a batch that we made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from pipeline.data.tokens import TokenizedExample
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.objectives.preference import DpoOptions, Sides, dpo_loss
from pipeline.preferences.scored import ScoredPair
from pipeline.training.dpo import pair_logps

trl = pytest.importorskip("trl", reason="TRL is an oracle of the tests, never a dependency of what runs")

PAD = 0
PAIRS = [
    ([5, 6, 7], [8, 9, 10, 2], [11, 2]),
    ([20], [21, 22], [23, 24, 25, 26, 27, 2]),
    ([30, 31], [32, 33, 2], [34, 35, 2]),
    ([40, 41, 42, 43], [44], [45, 46]),
]


@pytest.fixture
def models(policy_folder: Path) -> tuple[nn.Module, nn.Module]:
    """A policy, and a reference that differs from it."""
    policy, reference = (AutoModelForCausalLM.from_pretrained(policy_folder) for _ in range(2))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=generator)
    return policy, reference


def trl_trainer(models: tuple[nn.Module, nn.Module], tokenizer: Any, folder: Path, **options: Any) -> Any:
    arguments = trl.DPOConfig(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        max_length=None,
        **options,
    )
    rows = Dataset.from_list([{"prompt": "The film", "chosen": " is clever", "rejected": " is dull"}])
    return trl.DPOTrainer(
        model=models[0], ref_model=models[1], args=arguments, train_dataset=rows, processing_class=tokenizer
    )


def trl_batch() -> dict[str, Tensor]:
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    rows = [{"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": other} for prompt, chosen, other in PAIRS]
    return DataCollatorForPreference(pad_token_id=PAD)(rows)


def our_pairs() -> list[ScoredPair]:
    return [
        ScoredPair(str(at), TokenizedExample(prompt, chosen), TokenizedExample(prompt, other), 0.0, 0.0)
        for at, (prompt, chosen, other) in enumerate(PAIRS)
    ]


def our_loss(models: tuple[nn.Module, nn.Module], compute: Compute, **options: Any) -> Tensor:
    policy = pair_logps(Policy(models[0]), our_pairs(), compute, pad_token_id=PAD)
    with torch.no_grad():
        reference = pair_logps(Policy(models[1]), our_pairs(), compute, pad_token_id=PAD)
    lengths = Sides(*(torch.tensor([float(len(pair[side])) for pair in PAIRS]) for side in (1, 2)))
    return dpo_loss(policy, reference, lengths, DpoOptions(**options)).losses.mean()


def gradients(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        yield name, parameter.grad.clone()
        parameter.grad = None


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("sigmoid", {"beta": 0.3}),
        ("robust", {"beta": 0.3, "label_smoothing": 0.2}),
        ("ipo", {"beta": 0.3}),
        ("hinge", {"beta": 0.05}),
        ("sigmoid_norm", {"beta": 2.0}),
    ],
)
def test_loss_and_gradients_are_those_of_trl(
    models: tuple[nn.Module, nn.Module],
    tokenizer: PreTrainedTokenizerBase,
    compute: Compute,
    tmp_path: Path,
    loss: str,
    options: dict[str, float],
) -> None:
    trainer = trl_trainer(models, tokenizer, tmp_path, loss_type=[loss], **options)
    theirs = trainer.compute_loss(trainer.model.eval(), trl_batch())
    theirs.backward()
    expected = dict(gradients(models[0]))
    ours = our_loss(models, compute, loss=loss, **options)
    ours.backward()
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    for name, gradient in gradients(models[0]):
        assert torch.allclose(gradient, expected[name], atol=1e-5), name
    assert max(gradient.abs().max() for gradient in expected.values()) > 1e-3


def test_log_probs_of_completions_are_those_of_trl(
    models: tuple[nn.Module, nn.Module], tokenizer: PreTrainedTokenizerBase, compute: Compute, tmp_path: Path
) -> None:
    trainer = trl_trainer(models, tokenizer, tmp_path)
    batch = trl_batch()
    mask = batch.pop("completion_mask")
    with torch.no_grad():
        labels = batch["input_ids"].masked_fill(mask == 0, -100)
        theirs = trainer.model(**batch, labels=labels, fused_lm_head=True, use_cache=False).log_probs.sum(1)
        ours = torch.cat(pair_logps(Policy(models[0]), our_pairs(), compute, pad_token_id=PAD))
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert ours.std() > 1
