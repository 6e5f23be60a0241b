"""Reward models from folders: a backbone with a fresh head, or a finished one."""

import math
from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from pipeline.errors import PipelineError
from pipeline.kernels.packed_weights import pack_linears
from pipeline.models.attention_choice import attention_for
from pipeline.models.backbone import switch_dropout_off
from pipeline.models.compute import Compute
from pipeline.models.folders import brings_code, check_weights, config_of, stored_sizes
from pipeline.models.quantization import quantizes
from pipeline.models.reward import RewardModel
from pipeline.models.reward_size import is_large
from pipeline.models.score_head import add_head_bias, is_decoder, restore_head
from pipeline.models.text_format import FILE, TextFormat, read_by_its_own, read_text_format
from pipeline.models.text_length import longest_text
from pipeline.params.base import Finetuning
from pipeline.seeding import seeded_globals, torch_generator

_DECODERS_HEAD, _DECODERS_BIAS = "score.weight", "score.bias"
"""Names in the files of a finished decoder; the bias is ours, see `add_head_bias`."""


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
    check_weights(backbone)
    # a backbone that is frozen in the compute dtype is never there in fp32
    dtype = compute.dtype if adapted and is_decoder(_shape(backbone)) else torch.float32
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
    folder: Path,
    compute: Compute,
    *,
    max_length: int | None = None,
    texts: TextFormat | None = None,
    scores_alone: bool = False,
) -> RewardModel:
    """A finished reward model, frozen, in the number format it is stored in; a large decoder in the compute dtype.

    Args:
        max_length: tokens read of a text; None is what was stored with it, as many as in training.
        texts: how those were written that it will read; None is what was stored with it, or else plain ones.
        scores_alone: nothing else is asked of it, such as to be trained or saved: its weights may be packed.
    """
    if texts is None and (folder / FILE).is_file():
        texts = read_text_format(folder / FILE)
    model = _load(folder, compute, max_length=max_length, dtype=frozen_dtype(folder, compute), texts=texts)
    restore_head(model.network, folder)
    model.requires_grad_(False)
    if scores_alone and compute.packed_weights:
        pack_linears(model.network, keep=model.head)
    return model.eval()


def frozen_dtype(folder: Path, compute: Compute) -> torch.dtype | str:
    """Number format of a frozen reward model: that of the matrix products for a large decoder, as stored for others.

    The stored weights say which it is; a network is built, without weights, only where they have no score head.
    """
    sizes = stored_sizes(folder)
    if _DECODERS_HEAD in sizes or (sizes and not is_large(sum(sizes.values()), decoder=True)):
        large = is_large(sum(sizes.values()) - sizes.get(_DECODERS_BIAS, 0), decoder=_DECODERS_HEAD in sizes)
    else:
        network = _shape(folder)
        large = is_large(network.num_parameters(), decoder=is_decoder(network))
    return compute.dtype if large else "auto"


def _shape(folder: Path) -> PreTrainedModel:
    """The network without its weights."""
    with torch.device("meta"):
        return AutoModelForSequenceClassification.from_config(config_of(folder), trust_remote_code=brings_code(folder))


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
        # a tokenizer without a maximum length reports 10^30
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
