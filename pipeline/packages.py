"""Installed Python packages: files inside them, and those that only some settings need."""

import importlib.util
from pathlib import Path

from pipeline.errors import PipelineError


def package_folder(name: str, *, key: str) -> Path:
    """Folder of an installed package, found without importing it (its code may need what we don't install).

    Raises:
        PipelineError: the package is not installed; `key` is the params key that named it.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise PipelineError(f"{key}: Python package {name!r} is not installed. Run `make setup`, or correct the name.")
    return Path(next(iter(spec.submodule_search_locations)))


def check_bitsandbytes(key: str, value: str, *, otherwise: str) -> None:
    """What keeps numbers in 4 or 8 bits is there; to be asked before anything is loaded.

    Args:
        key, value: of the parameter that needs it.
        otherwise: the value that needs nothing.

    Raises:
        PipelineError: it is not installed.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        setting = key.rpartition(".")[2]
        raise PipelineError(
            f"{key} is {value}, which needs bitsandbytes: install it with `pip install '.[qlora]'`, or set "
            f"{setting} to {otherwise}."
        )
