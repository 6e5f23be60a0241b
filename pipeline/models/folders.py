"""What the files of a model folder of this pipeline say about it."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from pipeline.errors import PipelineError


def stored_dtype(folder: Path) -> torch.dtype:
    """Number format in which the weights are stored."""
    name = json.loads((folder / "config.json").read_text()).get("dtype") or "float32"
    return getattr(torch, name)


def check_weights(folder: Path | str, *, advice: str = "Restore it with `dvc checkout`, or build it again.") -> None:
    """Read the table of contents of every safetensors file, which says how long the file is.

    Args:
        folder: a model's; of a hub id there is nothing to look at.
        advice: what to do with a damaged file.

    Raises:
        PipelineError: naming the file that is damaged or cut short.
    """
    for file in sorted(Path(folder).glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise PipelineError(f"{file} is damaged or cut short ({' '.join(str(error).split())}). {advice}") from error


def brings_code(folder: Path | str) -> bool:
    """Whether the model is loaded with Python code of its own.

    fetch_models stores such code only where params.yaml says that it may be run.
    """
    return "auto_map" in json.loads((Path(folder) / "config.json").read_text())
