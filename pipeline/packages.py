"""Files inside installed Python packages."""

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
