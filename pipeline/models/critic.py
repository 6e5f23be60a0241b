"""The critic as a network of its own: a backbone that reads what the policy reads, and a value head."""

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import ResponseBatch
from pipeline.errors import PipelineError
from pipeline.kernels.packed_states import packed_states
from pipeline.kernels.packing import PackedRows, packed
from pipeline.kernels.quantized import quantize_linears
from pipeline.models.adapters import add_adapters
from pipeline.models.backbone import cast_weights
from pipeline.models.compute import Compute
from pipeline.models.footprint import too_much_to_keep
from pipeline.models.heads import value_head
from pipeline.models.policy import load_network, scatter
from pipeline.models.quantization import quantizes
from pipeline.models.reward import RewardModel
from pipeline.params.base import Finetuning


class Critic(nn.Module):
    """Values of the states before each response token, in score units.

    Unlike a value head on the policy's backbone, which must leave that backbone alone, it is trained in all its layers.
    """

    def __init__(self, backbone: nn.Module, head: nn.Linear, *, kept_activations: int | None = None) -> None:
        super().__init__()
        self.kept_activations = kept_activations
        self.backbone = backbone
        self.head = head

    def forward(self, batch: PackedRows | ResponseBatch) -> Tensor:
        """Values (E, R), 0 where the response mask is off; gradient flows everywhere."""
        rows = packed(batch)
        recompute = too_much_to_keep(self.backbone, rows.input_ids, limit=self.kept_activations)
        states = packed_states(self.backbone, rows, rows.state_index, recompute=recompute)
        return scatter(self.head(states).squeeze(-1), rows.response_mask)


def critic_from_policy(folder: Path, compute: Compute, *, finetuning: Finetuning, seed: int) -> Critic:
    """A copy of the policy's backbone with a value head of zeros: the first advantages are the rewards themselves."""
    network = load_network(folder, compute, finetuning=finetuning)
    head = value_head(network.config.get_text_config().hidden_size)
    return _trainable(network.base_model, head, compute, finetuning=finetuning, seed=seed)


def critic_from_reward_model(
    model: RewardModel, tokenizer: PreTrainedTokenizerBase, compute: Compute, *, finetuning: Finetuning, seed: int
) -> Critic:
    """The reward model itself as a critic (Huang et al. 2024, arXiv:2403.17031, detail 8): its first values are scores.

    Args:
        model: used up; it must be a decoder with the policy's tokens.
        tokenizer: of the policy.

    Raises:
        PipelineError: the reward model reads other tokens, or reads them in both directions.
    """
    if not model.is_decoder or model.tokenizer.get_vocab() != tokenizer.get_vocab():
        raise PipelineError(
            "optimize.ppo.critic is reward_model, but this reward model is an encoder or has another tokenizer than "
            "the policy, so it has no value for the policy's tokens. Set it to policy or shared, or train the reward "
            "model from the policy (models.reward_backbone)."
        )
    head = value_head(model.head.in_features)
    with torch.no_grad():
        head.weight.copy_(model.head.weight)
        if model.head.bias is not None:
            head.bias.copy_(model.head.bias)
    full = finetuning.method == "full"
    backbone = model.network.base_model
    cast_weights(backbone, torch.float32 if full else compute.dtype)
    if quantizes(finetuning.quantization):
        quantize_linears(backbone, compute.device)
    backbone.requires_grad_(full)
    return _trainable(backbone, head, compute, finetuning=finetuning, seed=seed)


def _trainable(backbone: nn.Module, head: nn.Linear, compute: Compute, *, finetuning: Finetuning, seed: int) -> Critic:
    if finetuning.method == "lora":
        backbone = add_adapters(
            backbone, finetuning, task=None, seed=seed, name="critic/lora", fused=compute.fused_adapters
        )
    return Critic(backbone, head, kept_activations=compute.kept_activations).to(compute.device)
