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
from pipeline.kernels.recomputation import recomputed
from pipeline.models.adapters import add_adapters
from pipeline.models.backbone import cast_weights, switch_dropout_off
from pipeline.models.compute import Compute
from pipeline.models.folders import brings_code, check_weights
from pipeline.models.footprint import too_much_to_keep
from pipeline.models.merging import merge_adapters
from pipeline.models.reward_texts import RewardTexts
from pipeline.models.score_head import add_head_bias, compute_head_in_fp32, is_decoder, restore_head_bias, score_head
from pipeline.models.text_format import FILE, TextFormat, read_by_its_own, read_text_format
from pipeline.models.text_length import longest_text
from pipeline.params.base import Finetuning
from pipeline.progress import progress_bar
from pipeline.reading.template_marks import TemplateMarks
from pipeline.seeding import seeded_globals, torch_generator

SCORED_TOKENS = 1024
"""That a CPU reads at once: enough for its matrix products, few enough to leave little padding."""


class RewardModel(nn.Module):
    """Scores (prompt + response) with one number, higher is better; it sees whether the response ended.

    Encoders are read at [CLS], decoders at the last real token, found by the attention mask: so scores do not
    depend on padding side, padding length or the other rows of the batch.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int,
        shared_prompts: bool = True,
        padding_free: bool = True,
        kept_activations: int | None = None,
        end_of_turn: str | None = None,
        marks: TemplateMarks | None = None,
    ) -> None:
        super().__init__()
        self.kept_activations = kept_activations
        self.shared_prompts = shared_prompts
        self.padding_free = padding_free
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
        rows = range(len(encoded))
        if not self.padding_free or self.network.device.type != "cpu":
            return self(*self.pad(encoded))
        parts = split_batch(rows, [len(ids) for ids in encoded], SCORED_TOKENS)
        scores = torch.cat([self(*self.pad([encoded[row] for row in part])) for part in parts])
        order = torch.tensor([row for part in parts for row in part])
        return scores[order.argsort()]

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
        """Scores (len(passages),) on the CPU; those of similar length share a batch, which on a CPU passes in parts."""
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
        adapted = add_adapters(
            backbone, finetuning, task=None, seed=seed, name="reward/lora", fused=compute.fused_adapters
        )
        # PEFT changes the backbone in place; a second place for it in this module would save it twice
        object.__setattr__(self, "_adapted", adapted)

    def merge_adapters(self) -> None:
        """The whole network in fp32, as it is saved; nothing changes without adapters."""
        if (adapted := getattr(self, "_adapted", None)) is not None:
            merge_adapters(adapted)
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
    # RoBERTa's and other heads have a layer more, which transformers fills from the global generator
    with seeded_globals(seed, "reward_classifier"):
        model = _load(backbone, compute, max_length=max_length, dtype=torch.float32, tokenizer=tokenizer, texts=texts)
    add_head_bias(model.network)
    head = model.head
    if finetuning is not None and finetuning.method == "lora":
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
    """A finished reward model, frozen, in the number format it is stored in.

    Args:
        max_length: tokens read of a text; None is what was stored with it, as many as in training.
        texts: how those were written that it will read; None is what was stored with it, or else plain ones.
    """
    if texts is None and (folder / FILE).is_file():
        texts = read_text_format(folder / FILE)
    model = _load(folder, compute, max_length=max_length, dtype="auto", texts=texts)
    restore_head_bias(model.network, folder)
    model.requires_grad_(False)
    return model.eval()


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
        attn_implementation=compute.attention,
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
        max_length=max_length,
        shared_prompts=compute.shared_prompts,
        padding_free=compute.padding_free,
        kept_activations=compute.kept_activations,
        end_of_turn=texts.end_of_turn if texts else None,
        marks=texts.marks if texts and texts.own_template else None,
    )
    return model.to(compute.device)
