"""Data under DVC that were changed in place: through a link, DVC's cache was changed with them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.check.findings import Findings
from pipeline.project.graph import cache_folder
from pipeline.project.hashing import cached_path, content_hash

FOLDER = "data"


def check_links(root: Path, findings: Findings) -> None:
    """An error for each file that is one with its place in the cache and no longer what that place is named after.

    Such files are read-only, which stops everybody but root.
    """
    tracked = sorted((root / FOLDER).rglob("*.dvc"))
    if not tracked:
        return
    cache = cache_folder(root)
    for file in tracked:
        for path, md5 in _contents(file, cache):
            cached = cached_path(cache, md5)
            if path.is_file() and cached.is_file() and path.samefile(cached) and content_hash(path) != md5:
                name, place = path.relative_to(root), _shown(cached, root)
                findings.error(
                    f"{name} was changed in place, and with it DVC's cache, of which it is a link: what "
                    f"{file.relative_to(root)} names is lost from there. `dvc unprotect {name}`, `rm -f {place}`, then "
                    f"`dvc add {name}` keep the new version; `dvc pull` brings the old one, where a remote has it. "
                    "Unprotect a file before you edit it."
                )


def _contents(file: Path, cache: Path) -> Iterator[tuple[Path, str]]:
    """Files that a .dvc file names, those of folders among them, with the md5 of what they should hold."""
    document: dict[str, Any] = YAML(typ="safe").load(file) or {}
    for out in document.get("outs", []):
        path, md5 = file.parent / out["path"], str(out.get("md5", ""))
        if not md5.endswith(".dir"):
            yield path, md5
        elif (listing := cached_path(cache, md5)).is_file():
            yield from ((path / one["relpath"], one["md5"]) for one in json.loads(listing.read_text()))


def _shown(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path
