"""The reward model: a backbone with one linear score head, any `AutoModelForSequenceClassification` of one label."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pipeline.data.passages import Passage
from pipeline.data.tokens import batched, split_batch
from pipeline.group import map_dealt
from pipeline.kernels.packed_states import packed_states
from pipeline.kernels.packing import group_pair, pack_groups
from pipeline.kernels.probes import reads_branches, reads_flat_rows
from pipeline.kernels.quantized import is_quantized, quantize_linears, restore_linears
from pipeline.kernels.recomputation import recomputed
from pipeline.models.adapters import add_adapters
from pipeline.models.backbone import cast_weights
from pipeline.models.compute import Compute
from pipeline.models.footprint import too_much_to_keep
from pipeline.models.merging import merge_adapters
from pipeline.models.quantization import quantizes
from pipeline.models.reward_size import is_large
from pipeline.models.reward_texts import RewardTexts
from pipeline.models.score_head import compute_head_in_fp32, is_decoder, score_head
from pipeline.params.base import Finetuning
from pipeline.progress import progress_bar
from pipeline.reading.template_marks import TemplateMarks

SCORED_TOKENS = 1024
"""Tokens that a CPU reads at once: enough for fast matrix products, few enough to leave little padding."""
_Part = tuple[list[int], list[list[int]]]
"""Numbers and token ids of the passages that pass at once."""


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
        scores = torch.zeros(len(passages))
        with progress_bar(total=len(passages), title=title or "", unit="text", shown=title is not None) as bar:
            for rows, found in map_dealt(self._scored, self._encoded_parts(passages, batch_size)):
                scores[rows] = found
                bar.update(len(rows))
        return scores

    def _encoded_parts(self, passages: Sequence[Passage], batch_size: int) -> Iterator[_Part]:
        """All passages, those of similar length together."""
        order = sorted(range(len(passages)), key=lambda index: (len(passages[index].text), index))
        for batch in batched(order, batch_size):
            encoded = self.encode([passages[row] for row in batch])
            for part in self._parts([len(ids) for ids in encoded]):
                yield [batch[place] for place in part], [encoded[place] for place in part]

    def _scored(self, part: _Part) -> tuple[list[int], Tensor]:
        """Numbers of passages, and their scores on the CPU."""
        rows, encoded = part
        with self._as_in_training():
            return rows, self(*self.pad(encoded)).cpu()

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
            large = is_large(self.network.num_parameters(), decoder=self.is_decoder)
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
