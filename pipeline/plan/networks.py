"""Models of a run by their configs alone, wherever those come from: weights need not be there yet."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from pipeline.errors import PipelineError
from pipeline.memory.work import Model
from pipeline.models.sources import load_source_config
from pipeline.params.base import ModelSource


def load_config(source: ModelSource, *, key: str) -> Any:
    """The config of a model: of a hub id, a package, or a folder, which may hold no weights.

    Raises:
        PipelineError: there is none, or the hub cannot be reached.
    """
    folder = Path(source.source)
    if (folder / "config.json").is_file():
        try:
            return AutoConfig.from_pretrained(folder, trust_remote_code=source.trust_remote_code)
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise PipelineError(f"{key}: {folder / 'config.json'} cannot be read: {reason}") from error
    return load_source_config(source, key=key)


def network_of(config: Any, *, writes: bool) -> Model:
    """The sizes of a network, with the exact count of its weights where transformers knows the architecture.

    Args:
        writes: the network has a vocabulary head.
    """
    model = Model.of(config, writes=writes)
    auto: Any = AutoModelForCausalLM if writes else AutoModel
    try:
        with torch.device("meta"):
            network = auto.from_config(config)
    except Exception:
        return model
    return replace(model, weights=sum(parameter.numel() for parameter in network.parameters()))
