"""What the files of a model folder of this pipeline say about it."""

import json
from pathlib import Path

import torch


def stored_dtype(folder: Path) -> torch.dtype:
    """Number format in which the weights are stored."""
    name = json.loads((folder / "config.json").read_text()).get("dtype") or "float32"
    return getattr(torch, name)


def brings_code(folder: Path | str) -> bool:
    """Whether the model is loaded with Python code of its own.

    fetch_models stores such code only where params.yaml says that it may be run.
    """
    return "auto_map" in json.loads((Path(folder) / "config.json").read_text())
