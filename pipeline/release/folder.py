"""A model's files in a second folder, without a second copy of the weights on the disk."""

import hashlib
import os
import shutil
from pathlib import Path


def link_files(source: Path, target: Path) -> list[Path]:
    """Hard links to the files of `source`, copies where the disk cannot link; folders inside it are left out.

    Returns:
        The files in `target`, sorted by name.
    """
    target.mkdir(parents=True, exist_ok=True)
    files = sorted(file for file in source.iterdir() if file.is_file())
    for file in files:
        try:
            os.link(file, target / file.name)
        except OSError:
            shutil.copy(file, target / file.name)
    return [target / file.name for file in files]


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file, as `sha256sum` prints it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
