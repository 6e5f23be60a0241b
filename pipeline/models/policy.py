"""A trainable language model: response log-probs, values, and its frozen reference."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from pipeline.data.tokens import ResponseBatch
from pipeline.kernels.linear_logprobs import linear_token_statistics
from pipeline.kernels.merged_adapters import merged_for_sampling
from pipeline.kernels.packed_states import packed_states
from pipeline.kernels.packed_weights import pack_linears, packed_inside
from pipeline.kernels.packing import PackedRows, packed
from pipeline.kernels.probes import reads_branches, reads_flat_rows
from pipeline.models.adapters import add_adapters, has_adapters
from pipeline.models.attention_choice import attention_for
from pipeline.models.backbone import (
    cast_weights,
    logit_scale,
    plain_head,
    project_logits,
    switch_dropout_off,
)
from pipeline.models.compute import Compute
from pipeline.models.folders import (
    base_folder,
    brings_code,
    check_weights,
    config_of,
    has_adapters_alone,
    stored_dtype,
)
from pipeline.models.footprint import too_much_to_keep
from pipeline.models.heads import value_head
from pipeline.models.merging import merge_stored_adapters
from pipeline.models.quantization import quantize, quantizes
from pipeline.models.text_format import check_tokenizer
from pipeline.objectives.logprobs import TokenStatistics, token_logprobs, token_statistics
from pipeline.params.base import Finetuning, Quantization


@dataclass(frozen=True)
class PolicyOutput:
    """Per response token, 0 where the mask is off: `logprobs` and `entropy` in nats, `values` in score units."""

    logprobs: Tensor  # (E, R), gradient flows
    entropy: Tensor | None  # (E, R), gradient flows
    values: Tensor | None  # (E, R), gradient flows to the value head only


class Policy(nn.Module):
    """A causal language model seen through its responses.

    Sampling aside, everything that reads token log-probs calls `forward`: SFT, DPO, the cached reference, PPO's
    rollout and PPO's update. So the first PPO ratio is 1 and the first DPO loss is ln 2 by construction.
    """

    def __init__(
        self,
        language_model: nn.Module,
        *,
        with_values: bool = False,
        fused_logprobs: bool = True,
        padding_free: bool = True,
        packed_weights: bool = False,
        kept_activations: int | None = None,
    ) -> None:
        super().__init__()
        self.packed_weights = packed_weights
        self.kept_activations = kept_activations
        self.fused_logprobs = fused_logprobs
        self.padding_free = padding_free
        self.folder: Path | None = None  # that it was loaded from
        self.language_model = language_model
        self.causal_lm: PreTrainedModel
        # a second attribute for the same module must not register it twice
        base: Any = language_model
        if has_adapters(language_model):
            base = base.get_base_model()
        object.__setattr__(self, "causal_lm", base)
        hidden_size = self.causal_lm.config.get_text_config().hidden_size
        self.value_head = value_head(hidden_size) if with_values else None

    @property
    def has_adapters(self) -> bool:
        return has_adapters(self.language_model)

    def forward(
        self, batch: PackedRows | ResponseBatch, *, temperature: float = 1.0, with_entropy: bool = False
    ) -> PolicyOutput:
        """Log-probs of the response tokens; only their positions pass through the vocabulary head.

        Args:
            batch: with E responses of up to R tokens; it is packed if it is not.
            temperature: the sampling temperature.
            with_entropy: also the entropy of each next-token distribution.
        """
        rows = packed(batch)
        flat = self.padding_free and self.reads_flat_rows
        backbone = self.causal_lm.base_model
        recompute = too_much_to_keep(backbone, rows.input_ids, limit=self.kept_activations)
        states = packed_states(backbone, rows, rows.state_index, flat=flat, recompute=recompute)
        statistics = self._statistics(states, rows.token_ids, temperature, with_entropy=with_entropy)
        values = None
        if self.value_head is not None:
            # detached: the value loss, whose scale is the score's, must not move the backbone that the policy shares
            values = scatter(self.value_head(states.detach()).squeeze(-1), rows.response_mask)
        entropy = scatter(statistics.entropy, rows.response_mask) if with_entropy else None
        return PolicyOutput(scatter(statistics.logprobs, rows.response_mask), entropy, values)

    def _statistics(
        self, states: Tensor, token_ids: Tensor, temperature: float, *, with_entropy: bool
    ) -> TokenStatistics:
        weight = plain_head(self.causal_lm) if self.fused_logprobs else None
        # the gradient of an entropy needs the logits
        if weight is None or (with_entropy and torch.is_grad_enabled()):
            logits = project_logits(self.causal_lm, states)  # (N, V)
            if with_entropy:
                return token_statistics(logits, token_ids, temperature=temperature)
            logprobs = token_logprobs(logits, token_ids, temperature=temperature)
            return TokenStatistics(logprobs, torch.zeros_like(logprobs))
        kind = states.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        return linear_token_statistics(
            states.to(dtype),
            weight.to(dtype),
            token_ids,
            temperature=temperature / logit_scale(self.causal_lm),
            with_entropy=with_entropy,
        )

    @cached_property
    def reads_branches(self) -> bool:
        """Whether several responses may share a row; see `probes.reads_branches`."""
        return reads_branches(self.causal_lm)

    @cached_property
    def reads_flat_rows(self) -> bool:
        """Whether rows can be read without their padding; see `probes.reads_flat_rows`."""
        return self.reads_branches and reads_flat_rows(self.causal_lm)

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Inside the block the policy is its own frozen reference: the same weights, adapters off."""
        if not has_adapters(self.language_model):
            raise TypeError("a policy without adapters has no reference inside it; load a frozen copy")
        adapted: Any = self.language_model
        with adapted.disable_adapter():
            yield

    @contextmanager
    def merged(self) -> Iterator[None]:
        """Inside the block adapters are in the weights, see `merged_for_sampling`; without adapters nothing changes."""
        adapted: Any = self.language_model
        with merged_for_sampling(adapted, packed=self.packed_weights) if self.has_adapters else nullcontext():
            yield

    def pack(self) -> None:
        """Pack the weights of a frozen policy where that is switched on, the head's not, which log-probs read."""
        if self.packed_weights:
            pack_linears(self.causal_lm, keep=self.causal_lm.get_output_embeddings())

    @contextmanager
    def packed_head(self) -> Iterator[None]:
        """Inside the block the vocabulary head multiplies with a packed copy of its weight, where that is possible."""
        head = self.causal_lm.get_output_embeddings()
        with packed_inside(head) if self.packed_weights else nullcontext():
            yield


def scatter(kept: Tensor, mask: Tensor) -> Tensor:
    """Values (N,) of the kept positions to (B, R), 0 elsewhere."""
    return torch.zeros(mask.shape, dtype=kept.dtype, device=kept.device).masked_scatter(mask, kept)


def load_policy(
    folder: Path | str, compute: Compute, *, finetuning: Finetuning | None, seed: int = 0, with_values: bool = False
) -> Policy:
    """A policy from a checkpoint folder, on the device and without dropout.

    Args:
        folder: `AutoModelForCausalLM` layout, or adapters, which are merged in: two more small products for each
            layer would slow sampling down.
        finetuning: what is trained: adapters on frozen weights in the compute dtype, or every weight in fp32.
            None freezes everything (sampling, scoring, a reference).
        seed: root seed of the adapters' initial values.
        with_values: add a value head.
    """
    language_model: nn.Module = load_network(folder, compute, finetuning=finetuning)
    if finetuning is not None and finetuning.method == "lora":
        language_model = add_adapters(
            language_model, finetuning, task="CAUSAL_LM", seed=seed, name="lora", fused=compute.fused_adapters
        )
    policy = _policy(language_model, compute, folder, with_values=with_values)
    if finetuning is None:
        policy.pack()
    return policy


def load_reference(
    folder: Path | str, compute: Compute, *, method: Literal["lora", "full"], quantization: Quantization = "none"
) -> Policy:
    """The frozen policy that a trained one is compared with, in the number format of that one.

    Weights in fp32 under autocast round otherwise than weights in bf16: against the latter a policy that is trained in
    full would not begin at ratio 1. Below adapters lie weights in the compute dtype, or in 4 bits, and so their
    reference has them.

    Args:
        method: of the fine-tuning, see `Finetuning`.
        quantization: likewise.
    """
    network = _read_without_dropout(folder, compute, full=method == "full", quantized=quantizes(quantization))
    policy = _policy(network.requires_grad_(False), compute, folder)
    policy.pack()
    return policy


def _policy(language_model: nn.Module, compute: Compute, folder: Path | str, *, with_values: bool = False) -> Policy:
    policy = Policy(
        language_model,
        with_values=with_values,
        fused_logprobs=compute.fused_logprobs,
        padding_free=compute.padding_free,
        packed_weights=compute.packed_weights,
        kept_activations=compute.kept_activations,
    )
    policy.folder = Path(folder)
    return policy.to(compute.device)


def load_network(folder: Path | str, compute: Compute, *, finetuning: Finetuning | None) -> PreTrainedModel:
    """A causal language model without dropout: frozen in the compute dtype (or in 4 bits), or in fp32 to be trained."""
    full = finetuning is not None and finetuning.method == "full"
    quantized = finetuning is not None and quantizes(finetuning.quantization)
    return _read_without_dropout(folder, compute, full=full, quantized=quantized).requires_grad_(full)


def _read_without_dropout(folder: Path | str, compute: Compute, *, full: bool, quantized: bool) -> PreTrainedModel:
    network = read_network(folder, torch.float32 if full else compute.dtype, attention=compute.attention)
    switch_dropout_off(network)
    if quantized:
        quantize(network, compute.device)
    return network


def read_network(folder: Path | str, dtype: torch.dtype, *, attention: str | None = None) -> PreTrainedModel:
    """Whole weights, or those that adapters lie on with the adapters merged in: rounded as they would be stored."""
    check_weights(folder)
    if not has_adapters_alone(folder):
        return AutoModelForCausalLM.from_pretrained(  # type: ignore[no-any-return]
            folder,
            dtype=dtype,
            attn_implementation=attention_for(config_of(Path(folder)), attention),
            trust_remote_code=brings_code(folder),
        )
    base = base_folder(Path(folder))
    network = read_network(base, stored_dtype(base), attention=attention)
    network = merge_stored_adapters(network.requires_grad_(False), Path(folder))
    cast_weights(network, dtype)
    return network


def load_tokenizer(folder: Path | str) -> PreTrainedTokenizerBase:
    """Tokenizer of a checkpoint folder.

    Raises:
        PipelineError: the tokenizer is not the one that the model was trained with.
    """
    check_tokenizer(Path(folder))
    return AutoTokenizer.from_pretrained(folder, trust_remote_code=brings_code(folder))
