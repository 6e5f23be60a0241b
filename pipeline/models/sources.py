"""Where weights come from: a Hugging Face id, a folder, or a model inside an installed Python package."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants, try_to_load_from_cache
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GgufConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from pipeline.errors import PipelineError
from pipeline.hub import advise, tell_local, why_not_asked
from pipeline.models.chat_templates import give_template
from pipeline.models.folders import check_weights
from pipeline.models.settled_templates import settle_template
from pipeline.packages import package_folder
from pipeline.params.schema import BackboneSource, ModelSource, PolicySource
from pipeline.seeding import seeded_globals

_WEIGHT_FILES = ("*.safetensors", "*.gguf")
_COMMIT = re.compile("[0-9a-f]{40}")
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True)
class Located:
    """What `from_pretrained` needs: a folder or hub id, and the GGUF file when the weights are in one."""

    name: str
    options: dict[str, Any]


def locate(model: ModelSource, *, key: str) -> Located:
    """Resolve `source` and check that weights are there before anything is loaded.

    Raises:
        PipelineError: naming `key` (such as models.policy.source): no such package or folder, no weights in it, or
            code to be trusted that may change at any time.
    """
    if model.source.startswith("package:"):
        folder = package_folder(model.source.removeprefix("package:"), key=key)
        weights = sorted(path for pattern in _WEIGHT_FILES for path in folder.rglob(pattern))
        if not weights:
            raise PipelineError(f"{key}: package {model.source!r} holds no weights ({', '.join(_WEIGHT_FILES)}).")
        return _folder(weights[0].parent, key)
    if Path(model.source).is_dir():
        return _folder(Path(model.source), key)
    if model.source.startswith((".", "/", "~")) or (model.source.count("/") != 1 and "/" in model.source):
        raise PipelineError(f"{key}: folder {model.source!r} does not exist. Correct the path.")
    if model.trust_remote_code and not _COMMIT.fullmatch(model.revision or ""):
        raise PipelineError(
            f"{key}: trust_remote_code runs the code of {model.source!r}, which its owner can change at any time. Set "
            "its revision to the hash of the commit whose code you have read (40 hexadecimal digits)."
        )
    return Located(model.source, {"revision": model.revision} if model.revision else {})


def _folder(folder: Path, key: str) -> Located:
    weights = sorted(path for pattern in _WEIGHT_FILES for path in folder.glob(pattern))
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if not weights and pickles:
        raise PipelineError(
            f"{key}: folder {folder} has its weights in {pickles[0]}, a pickle: loading one runs whatever code is in "
            "it, so only safetensors and GGUF are loaded. Load it where you trust it and save it again with "
            "`save_pretrained`, which writes safetensors."
        )
    if not weights:
        raise PipelineError(
            f"{key}: folder {folder} has no weights ({', '.join(_WEIGHT_FILES)}). "
            "Copy them in, or point the key at another folder."
        )
    if not (folder / "config.json").is_file():
        if weights[0].suffix != ".gguf":
            raise PipelineError(f"{key}: folder {folder} has weights but no config.json. Copy it in.")
        return Located(str(folder), {"gguf_file": weights[0].name})
    return Located(str(folder), {})


def load_source_tokenizer(model: ModelSource, *, key: str) -> PreTrainedTokenizerBase:
    """The tokenizer alone, without loading weights."""
    located = locate(model, key=key)
    tokenizer: PreTrainedTokenizerBase = _load(
        AutoTokenizer, located.name, key, trust_remote_code=model.trust_remote_code, **located.options
    )
    if isinstance(model, PolicySource):
        give_template(tokenizer, model.chat_template)
    writes_chats = not isinstance(model, BackboneSource) or model.is_reward_model
    settle_template(tokenizer, key=key, needed=writes_chats)
    return tokenizer


def load_source_config(model: ModelSource, *, key: str) -> PretrainedConfig:
    """The configuration alone, without loading weights."""
    located = locate(model, key=key)
    config: PretrainedConfig = _load(
        AutoConfig, located.name, key, trust_remote_code=model.trust_remote_code, **located.options
    )
    return config


def check_writes(config: PretrainedConfig, *, key: str) -> None:
    """A policy writes from left to right, as a decoder does.

    Raises:
        PipelineError: naming `key`: an encoder, such as BERT, or one with a decoder behind it, such as T5.
    """
    kind = config.model_type
    if "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {}):
        return
    encodes = config.is_encoder_decoder or kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if encodes or kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise PipelineError(
            f"{key}: a {kind} is no language model that writes from left to right, as a policy has to be. Use a "
            "decoder, such as one of the families Llama, Qwen, Gemma or GPT-2."
        )


def load_source_policy(model: PolicySource, *, key: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The language model to align and its tokenizer, in the dtype to store; its pad token differs from EOS."""
    located = locate(model, key=key)
    options = dict(located.options)
    if "gguf_file" in options:
        # otherwise transformers keeps the blocks packed, and packed weights can neither be trained nor saved
        options["quantization_config"] = GgufConfig(dequantize=True)
    trust = {"trust_remote_code": model.trust_remote_code}
    network = _load(AutoModelForCausalLM, located.name, key, dtype=getattr(torch, model.dtype), **trust, **options)
    tokenizer = _load(AutoTokenizer, located.name, key, **trust, **located.options)
    give_template(tokenizer, model.chat_template)
    settle_template(tokenizer, key=key)
    separate_pad_token(network, tokenizer)
    return network, tokenizer


def load_source_backbone(model: BackboneSource, *, key: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The reward model's backbone without any head, or a finished reward model with its own, and its tokenizer."""
    if model.is_reward_model:
        advice = "set models.reward_backbone.is_reward_model to false to train one from it"
        return load_source_reward_model(model, key=key, advice=advice)
    located = locate(model, key=key)
    options = {"trust_remote_code": model.trust_remote_code, **located.options}
    # what a checkpoint lacks, such as a pooler, is drawn from the global generator, and nothing here reads it
    with seeded_globals(0, "reward_backbone"):
        network = _load(AutoModel, located.name, key, dtype=getattr(torch, model.dtype), **options)
    return network, _load_tokenizer(network, located.name, key, options, writes_chats=False)


def load_source_reward_model(
    model: ModelSource, *, key: str, advice: str = "name it in models.reward_backbone to train one from it"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A finished reward model: a sequence classifier with one output, whose weights are all there, and its tokenizer.

    Args:
        advice: what to do where the model is not a finished reward model.

    Raises:
        PipelineError: it has several outputs, or its score head would be initialised at random.
    """
    located = locate(model, key=key)
    options = {"trust_remote_code": model.trust_remote_code, **located.options}
    network, info = _load(
        AutoModelForSequenceClassification,
        located.name,
        key,
        output_loading_info=True,
        dtype=getattr(torch, model.dtype),
        **options,
    )
    if info["missing_keys"]:
        raise PipelineError(
            f"{key}: {located.name!r} holds no weights for {', '.join(sorted(info['missing_keys']))}: it is no "
            f"finished reward model. Use another one, or {advice}."
        )
    if network.config.num_labels != 1:
        raise PipelineError(
            f"{key}: {located.name!r} gives {network.config.num_labels} numbers for a text, and a reward model gives "
            f"one. Use another one, or {advice}."
        )
    return network, _load_tokenizer(network, located.name, key, options, writes_chats=True)


def _load_tokenizer(
    network: Any, name: str, key: str, options: dict[str, Any], *, writes_chats: bool
) -> PreTrainedTokenizerBase:
    tokenizer = _load(AutoTokenizer, name, key, **options)
    settle_template(tokenizer, key=key, needed=writes_chats)
    if tokenizer.eos_token_id is not None:
        separate_pad_token(network, tokenizer)
    return tokenizer


def _load(auto_class: Any, name: str, key: str, **options: Any) -> Any:
    check_weights(name, advice=f"Copy or download it again, or point {key} at another folder.")
    if auto_class not in (AutoTokenizer, AutoConfig) and "gguf_file" not in options:
        options["use_safetensors"] = True  # a pickle runs code when it is loaded, wherever it comes from
    why = None if Path(name).is_dir() else why_not_asked("models", name)
    try:
        loaded = auto_class.from_pretrained(name, local_files_only=why is not None, **options)
    except (OSError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        advice = "Use a Hugging Face id that exists and is reachable, a folder with weights, or package:NAME."
        if why is not None:
            advice = advise(f"or point {key} at a folder with the model")
            there = try_to_load_from_cache(name, "config.json", revision=options.get("revision"))
            lacks = f"of what is in {constants.HF_HUB_CACHE} from before: {reason}"
            reason = f"{why}, and {lacks if there else f'it is not in {constants.HF_HUB_CACHE} from before.'}"
        raise PipelineError(f"{key}: cannot load {name!r} as {auto_class.__name__}: {reason} {advice}") from error
    if why is not None:
        tell_local(name, why)
    return loaded


def separate_pad_token(network: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """Give the tokenizer a pad token of its own, distinct from EOS, and tell the model.

    With pad = EOS a mask by id hides the real EOS, and no model learns to stop (Huang et al. 2024,
    arXiv:2403.17031, detail 2). An unused special token is taken first; else one is added.
    """
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        if tokenizer.unk_token is not None and tokenizer.unk_token_id != tokenizer.eos_token_id:
            tokenizer.pad_token = tokenizer.unk_token
        else:
            tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
            _grow_vocabulary(network, len(tokenizer))
    network.config.pad_token_id = tokenizer.pad_token_id
    if getattr(network, "generation_config", None) is not None:
        network.generation_config.pad_token_id = tokenizer.pad_token_id


@torch.no_grad()
def _grow_vocabulary(network: Any, size: int) -> None:
    """Rows for new tokens, each the mean of the others (Hewitt 2021, "Initializing New Word Embeddings").

    A mean row's logit is the mean of the logits, so by Jensen's inequality its probability is at most one in the size
    of the vocabulary: nothing else changes noticeably. A random row could be drawn in any response.
    """
    old = network.get_input_embeddings().weight.shape[0]
    if size <= old:
        return
    network.resize_token_embeddings(size, mean_resizing=False)
    for module in (network.get_input_embeddings(), network.get_output_embeddings()):
        for weight in (getattr(module, "weight", None), getattr(module, "bias", None)):
            if weight is not None:
                weight[old:] = weight[:old].float().mean(0).to(weight.dtype)
