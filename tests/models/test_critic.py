"""A critic of its own: where it starts, what it trains, and which reward models can become one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import TokenizedExample, collate
from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.critic import critic_from_policy, critic_from_reward_model
from pipeline.models.reward_loading import create_reward_model
from pipeline.params.base import Finetuning
from tests.tiny_models import FULL, LORA

EXAMPLES = [TokenizedExample([5, 6, 7], [8, 9]), TokenizedExample([11], [12, 13, 14, 15])]


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_from_the_policy_it_starts_at_zero_and_learns_in_all_layers(
    policy_folder: Path, compute: Compute, finetuning: Finetuning
) -> None:
    critic = critic_from_policy(policy_folder, compute, finetuning=finetuning, seed=0)
    batch = collate(EXAMPLES, pad_token_id=0)
    assert critic(batch).abs().sum().item() == 0
    torch.nn.init.ones_(critic.head.weight)
    values = critic(batch)
    assert values[~batch.response_mask].abs().sum().item() == 0
    assert bool((values[batch.response_mask] != 0).all())
    values.square().sum().backward()
    trainable = {name: p.grad for name, p in critic.named_parameters() if p.requires_grad}
    layers = [name for name in trainable if "layers.0" in name]
    assert layers and all(trainable[name] is not None for name in layers)
    assert all("lora_" in name or name.startswith("head") for name in trainable) == (finetuning is LORA)


def test_padding_and_other_rows_change_no_value(policy_folder: Path, compute: Compute) -> None:
    critic = critic_from_policy(policy_folder, compute, finetuning=LORA, seed=0)
    torch.nn.init.ones_(critic.head.weight)
    together = critic(collate(EXAMPLES, pad_token_id=0)).sum(1)
    alone = torch.cat([critic(collate([example], pad_token_id=0)).sum(1) for example in EXAMPLES])
    assert torch.allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_from_a_reward_model_its_values_are_the_scores_of_the_text_so_far(
    decoder_folder: Path, compute: Compute, finetuning: Finetuning
) -> None:
    model = create_reward_model(decoder_folder, compute, max_length=64, seed=0)
    model.shift(0.25)
    batch = collate(EXAMPLES, pad_token_id=0)
    with torch.no_grad():
        scores = [
            model(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.long)).item()
            for example in EXAMPLES
            for length in range(len(example.response_ids))
            for ids in [example.prompt_ids + example.response_ids[:length]]
        ]
    critic = critic_from_reward_model(model, model.tokenizer, compute, finetuning=finetuning, seed=0)
    assert torch.allclose(critic(batch)[batch.response_mask], torch.tensor(scores), atol=1e-5)
    assert {p.requires_grad for name, p in critic.named_parameters() if "lora_" in name} <= {True}
    assert critic.head.weight.requires_grad


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_a_reward_model_changes_the_format_of_its_weights_alone(
    decoder_folder: Path, compute: Compute, finetuning: Finetuning
) -> None:
    """Frequencies of rotary positions are no weights: in bf16 a critic would read other positions than the policy."""
    used = replace(compute, dtype=torch.bfloat16)
    model = create_reward_model(decoder_folder, used, max_length=64, seed=0)
    before = {name: buffer.clone() for name, buffer in model.network.base_model.named_buffers()}
    critic = critic_from_reward_model(model, model.tokenizer, used, finetuning=finetuning, seed=0)
    frozen = {p.dtype for name, p in critic.backbone.named_parameters() if "lora_" not in name}
    assert frozen == {torch.float32 if finetuning is FULL else torch.bfloat16}
    after = {name.removeprefix("base_model.model."): buffer for name, buffer in critic.backbone.named_buffers()}
    assert before and before.keys() == after.keys()
    for name, buffer in after.items():
        assert buffer.dtype == torch.float32 and torch.equal(buffer, before[name]), name


def test_an_encoder_or_another_tokenizer_is_refused(
    encoder_folder: Path, decoder_folder: Path, compute: Compute, tokenizer: PreTrainedTokenizerBase
) -> None:
    encoder = create_reward_model(encoder_folder, compute, max_length=64, seed=0)
    with pytest.raises(PipelineError, match="another tokenizer"):
        critic_from_reward_model(encoder, tokenizer, compute, finetuning=LORA, seed=0)
    decoder = create_reward_model(decoder_folder, compute, max_length=64, seed=0)
    decoder.tokenizer.add_tokens(["anew"])
    with pytest.raises(PipelineError, match="another tokenizer"):
        critic_from_reward_model(decoder, tokenizer, compute, finetuning=LORA, seed=0)
