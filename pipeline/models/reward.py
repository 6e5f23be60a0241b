"""The reward model: a backbone with one linear score head, any `AutoModelForSequenceClassification` of one label."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from pipeline.data.passages import Passage
from pipeline.data.tokens import split_batch
from pipeline.errors import PipelineError
from pipeline.kernels.packed_states import packed_states
from pipeline.kernels.packing import group_pair, pack_groups
from pipeline.kernels.probes import reads_branches, reads_flat_rows
from pipeline.kernels.quantized import is_quantized, quantize_linears, restore_linears
from pipeline.kernels.recomputation import recomputed
from pipeline.models.adapters import add_adapters
from pipeline.models.attention_choice import attention_for
from pipeline.models.backbone import cast_weights, switch_dropout_off
from pipeline.models.compute import Compute
from pipeline.models.folders import brings_code, check_weights, config_of
from pipeline.models.footprint import too_much_to_keep
from pipeline.models.merging import merge_adapters
from pipeline.models.quantization import quantizes
from pipeline.models.reward_texts import RewardTexts
from pipeline.models.score_head import add_head_bias, compute_head_in_fp32, is_decoder, restore_head, score_head
from pipeline.models.text_format import FILE, TextFormat, read_by_its_own, read_text_format
from pipeline.models.text_length import longest_text
from pipeline.params.base import Finetuning
from pipeline.progress import progress_bar
from pipeline.reading.template_marks import TemplateMarks
from pipeline.seeding import seeded_globals, torch_generator

SCORED_TOKENS = 1024
"""That a CPU reads at once: enough for its matrix products, few enough to leave little padding."""
LARGE = 500_000_000
"""Weights of a decoder from which on it is kept in the number format of the matrix products, as policies are."""


class RewardModel(nn.Module):
    """Scores (prompt + response) with one number, higher is better; it sees whether the response ended.

    Encoders are read at [CLS], decoders at the last real token, found by the attention mask: so scores do not
    depend on padding side, padding length or the other rows of the batch.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        compute: Compute,
        *,
        max_length: int,
        end_of_turn: str | None = None,
        marks: TemplateMarks | None = None,
    ) -> None:
        super().__init__()
        self.kept_activations = compute.kept_activations
        self.shared_prompts = compute.shared_prompts
        self.padding_free = compute.padding_free
        self.limit = compute.frozen_limit
        self.network: Any = network
        self.tokenizer = tokenizer
        self.texts = RewardTexts(tokenizer, max_length=max_length, end_of_turn=end_of_turn, marks=marks)
        self.is_decoder = is_decoder(network)
        compute_head_in_fp32(network)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Scores (B,) in fp32 of token ids (B, T); `attention_mask` is 1 on real tokens."""
        with recomputed(self.network, when=too_much_to_keep(self.network, input_ids, limit=self.kept_activations)):
            return self._forward(input_ids, attention_mask)

    def _forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        if not self.is_decoder:
            return self.network(input_ids=input_ids, attention_mask=attention_mask).logits.squeeze(-1)
        positions = (attention_mask.cumsum(1) - 1).clamp(min=0)
        states = self.network.base_model(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=positions, use_cache=False
        ).last_hidden_state
        columns = torch.arange(input_ids.shape[1], device=input_ids.device)
        last = (columns * attention_mask.bool()).argmax(1)
        return self.head(states[torch.arange(len(states), device=states.device), last]).squeeze(-1)

    def encode(self, passages: Sequence[Passage]) -> list[list[int]]:
        """Token ids of each, see `RewardTexts.encode`."""
        return self.texts.encode(passages)

    def forward_pairs(self, pairs: Sequence[tuple[list[int], list[int]]]) -> tuple[Tensor, Tensor]:
        """Scores (B,) of the first and of the second text of each pair of token ids.

        A decoder reads what the texts of a pair begin with once, unless it cannot or must not. On a CPU, where a few
        long rows keep the processor busy, other rows pass in parts of similar length.
        """
        if self.is_decoder and self.shared_prompts and all(map(all, pairs)) and self.reads_branches:
            groups = [group for pair in pairs for group in group_pair(*pair)]
            rows = pack_groups(groups, pad_token_id=self.network.config.pad_token_id).to(self.network.device)
            flat = self.padding_free and self.reads_flat_rows
            backbone = self.network.base_model
            recompute = too_much_to_keep(backbone, rows.input_ids, limit=self.kept_activations)
            scores = self.head(packed_states(backbone, rows, rows.last_index, flat=flat, recompute=recompute))
        else:
            scores = self._scores([ids for pair in pairs for ids in pair])
        first, second = scores.view(-1, 2).unbind(1)
        return first, second

    def _scores(self, encoded: Sequence[list[int]]) -> Tensor:
        """Scores (len(encoded),) of token ids, with gradient where it is on."""
        parts = self._parts([len(ids) for ids in encoded])
        scores = torch.cat([self(*self.pad([encoded[row] for row in part])) for part in parts])
        order = torch.tensor([row for part in parts for row in part], device=scores.device)
        return scores[order.argsort()]

    def _parts(self, lengths: Sequence[int]) -> list[list[int]]:
        """Rows that pass at once: by the limit of frozen passes, and on a CPU at most `SCORED_TOKENS`."""
        rows = list(range(len(lengths)))
        if self.padding_free and self.network.device.type == "cpu":
            return split_batch(rows, lengths, min(SCORED_TOKENS, self.limit.part if self.limit else SCORED_TOKENS))
        # a trainer's batches are bounded already, and their gradients add up whatever the parts
        return self.limit.parts(rows, lengths) if self.limit else [rows]

    @cached_property
    def reads_branches(self) -> bool:
        """Whether both texts of a pair may share a row; see `probes.reads_branches`."""
        return reads_branches(self.network)

    @cached_property
    def reads_flat_rows(self) -> bool:
        """Whether rows can be read without their padding; see `probes.reads_flat_rows`."""
        return self.reads_branches and reads_flat_rows(self.network)

    def pad(self, encoded: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """Ids and mask (B, T) on the model's device."""
        padded = self.tokenizer.pad({"input_ids": list(encoded)}, return_tensors="pt")
        return padded["input_ids"].to(self.network.device), padded["attention_mask"].to(self.network.device)

    def tokenize(self, passages: Sequence[Passage]) -> tuple[Tensor, Tensor]:
        """Ids and mask (B, T)."""
        return self.pad(self.encode(passages))

    @torch.no_grad()
    def score(self, passages: Sequence[Passage], *, batch_size: int, title: str | None = None) -> Tensor:
        """Scores (len(passages),) on the CPU; those of similar length share a batch, which passes in parts."""
        order = sorted(range(len(passages)), key=lambda index: (len(passages[index].text), index))
        scores = torch.zeros(len(passages))
        starts = range(0, len(order), batch_size)
        for start in progress_bar(starts, title=title, unit="batch") if title else starts:
            rows = order[start : start + batch_size]
            with self._as_in_training():
                scores[rows] = self._scores(self.encode([passages[row] for row in rows])).cpu()
        return scores

    def _as_in_training(self) -> torch.autocast:
        """The number format of training, while there are adapters: they are fp32, and the frozen network may not be."""
        dtype = self.network.base_model.dtype
        casts = getattr(self, "_adapted", None) is not None and dtype != torch.float32
        return torch.autocast(self.network.device.type, dtype=dtype if casts else torch.bfloat16, enabled=casts)

    @torch.no_grad()
    def shift(self, offset: float) -> None:
        """Subtract `offset` from every score, inside the head's bias.

        Encoders keep it wherever they are loaded. transformers gives decoders a head without bias, so other loaders
        read their scores up to this one constant, which no comparison and no advantage notices.
        """
        self.head.bias.sub_(offset)

    @property
    def head(self) -> nn.Linear:
        return score_head(self.network)

    def add_adapters(self, finetuning: Finetuning, compute: Compute, *, seed: int) -> None:
        """LoRA adapters on the backbone, which is frozen; the head is trained."""
        backbone = self.network.base_model.requires_grad_(False)
        if self.is_decoder:
            cast_weights(backbone, compute.dtype)
        if quantizes(finetuning.quantization):
            quantize_linears(backbone, compute.device)
        adapted = add_adapters(
            backbone, finetuning, task=None, seed=seed, name="reward/lora", fused=compute.fused_adapters
        )
        # PEFT changes the backbone in place; a second place for it in this module would save it twice
        object.__setattr__(self, "_adapted", adapted)

    def merge_adapters(self) -> None:
        """The whole network as it is saved, a large one in the number format of its frozen backbone, others in fp32.

        Nothing changes without adapters.
        """
        if (adapted := getattr(self, "_adapted", None)) is not None:
            backbone = self.network.base_model
            large = self.is_decoder and self.network.num_parameters() >= LARGE
            dtype = backbone.dtype if large else torch.float32
            if is_quantized(backbone):
                folder = self.network.name_or_path
                stored = type(self.network).from_pretrained(folder, num_labels=1, dtype="auto")
                restore_linears(backbone, stored.base_model, dtype)
            merge_adapters(adapted, dtype)
            if not large:
                self.network.float()
            object.__setattr__(self, "_adapted", None)

    def save(self, folder: Path) -> None:
        """Write network and tokenizer in the layout that `AutoModelForSequenceClassification` loads."""
        self.network.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def create_reward_model(
    backbone: Path,
    compute: Compute,
    *,
    max_length: int,
    seed: int,
    finetuning: Finetuning | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    texts: TextFormat | None = None,
) -> RewardModel:
    """A backbone with a fresh head: weights ~ N(0, 1/(d+1)), bias 0 (arXiv:2403.17031, detail 7).

    Args:
        tokenizer: of the backbone, as `load_reward_tokenizer` gives it; None loads it.
        finetuning: what is trained besides the head: every weight in fp32 (None, too), or adapters on a backbone that
            is frozen, a decoder in the compute dtype.
        texts: how those were written that it will read; None stands for plain ones.
    """
    adapted = finetuning is not None and finetuning.method == "lora"
    if finetuning is not None:
        quantizes(finetuning.quantization)  # refuses what is not installed before anything is loaded
    # a large backbone is never there in fp32
    dtype = compute.dtype if adapted and frozen_dtype(backbone, compute) != "auto" else torch.float32
    # RoBERTa's and other heads have a layer more, which transformers fills from the global generator
    with seeded_globals(seed, "reward_classifier"):
        model = _load(backbone, compute, max_length=max_length, dtype=dtype, tokenizer=tokenizer, texts=texts)
    model.head.float()
    add_head_bias(model.network)
    head = model.head
    if adapted and finetuning is not None:
        model.add_adapters(finetuning, compute, seed=seed)
    generator = torch_generator(seed, "reward_head")
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=generator) / math.sqrt(head.in_features + 1))
        head.bias.zero_()
    switch_dropout_off(model)
    return model


def load_reward_model(
    folder: Path, compute: Compute, *, max_length: int | None = None, texts: TextFormat | None = None
) -> RewardModel:
    """A finished reward model, frozen, in the number format it is stored in; a large decoder in the compute dtype.

    Args:
        max_length: tokens read of a text; None is what was stored with it, as many as in training.
        texts: how those were written that it will read; None is what was stored with it, or else plain ones.
    """
    if texts is None and (folder / FILE).is_file():
        texts = read_text_format(folder / FILE)
    model = _load(folder, compute, max_length=max_length, dtype=frozen_dtype(folder, compute), texts=texts)
    restore_head(model.network, folder)
    model.requires_grad_(False)
    return model.eval()


def frozen_dtype(folder: Path, compute: Compute) -> torch.dtype | str:
    """Number format of a frozen reward model: that of the matrix products for a large decoder, as stored for others.

    Policies are kept so, too. Small ones and encoders take little memory either way, and fp32 tells more of their
    scores apart.
    """
    if sum(file.stat().st_size for file in folder.glob("*.safetensors")) < 2 * LARGE:
        return "auto"
    with torch.device("meta"):
        shape = AutoModelForSequenceClassification.from_config(config_of(folder), trust_remote_code=brings_code(folder))
    return compute.dtype if is_decoder(shape) and shape.num_parameters() >= LARGE else "auto"


def texts_of_finished(folder: Path, texts: TextFormat) -> TextFormat:
    """How a finished reward model reads texts, see `read_by_its_own`.

    Args:
        folder: of the model.
        texts: as they were written here, whoever else reads them.
    """
    return read_by_its_own(replace(texts, own_template=False), load_reward_tokenizer(folder).chat_template)


def load_reward_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Tokenizer of a folder, as a reward model reads texts.

    Truncation keeps the end of a text, the response; padding on the right keeps [CLS] first.
    """
    return AutoTokenizer.from_pretrained(
        folder, truncation_side="left", padding_side="right", trust_remote_code=brings_code(folder)
    )


def _load(
    folder: Path,
    compute: Compute,
    *,
    max_length: int | None,
    dtype: torch.dtype | str,
    tokenizer: PreTrainedTokenizerBase | None = None,
    texts: TextFormat | None,
) -> RewardModel:
    check_weights(folder)
    tokenizer = tokenizer or load_reward_tokenizer(folder)
    network = AutoModelForSequenceClassification.from_pretrained(
        folder,
        num_labels=1,
        dtype=dtype,
        attn_implementation=attention_for(config_of(folder), compute.attention),
        trust_remote_code=brings_code(folder),
    )
    limit = longest_text(network.config) or tokenizer.model_max_length
    if max_length is None:
        # a tokenizer that was given no length says 10^30
        max_length = min(tokenizer.model_max_length, limit)
    if max_length > limit:
        raise PipelineError(f"train_reward.max_length is {max_length}, but {folder} reads at most {limit} tokens.")
    # travels with the saved tokenizer, so that every later stage truncates as training did
    tokenizer.model_max_length = max_length
    if network.config.pad_token_id is None:
        network.config.pad_token_id = tokenizer.pad_token_id
    model = RewardModel(
        network,
        tokenizer,
        compute,
        max_length=max_length,
        end_of_turn=texts.end_of_turn if texts else None,
        marks=texts.marks if texts and texts.own_template else None,
    )
    return model.to(compute.device)
