"""The forms in which a released model is shared, and where each lies."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.project.hashing import content_hash, sha256

MERGED, ADAPTER, GGUF = "merged", "adapter", "gguf"
VARIANTS = (MERGED, ADAPTER, GGUF)
RELEASE, EXPORTS = "artifacts/release", "artifacts/exports"
STATEMENT = "provenance.json"


def released(root: Path, name: str) -> Path:
    """The folder of a model that publish_models wrote.

    Raises:
        PipelineError: there is none of this name.
    """
    folder = root / RELEASE / name
    if not (folder / STATEMENT).is_file():
        found = sorted(path.parent.name for path in (root / RELEASE).glob(f"*/{STATEMENT}"))
        hint = f"There are {', '.join(found)}." if found else "Build it with `make repro`."
        raise PipelineError(f"{RELEASE}/{name}: there is no such released model. {hint}")
    return folder


def variant_folder(root: Path, name: str, variant: str) -> Path:
    """Where a variant of a released model lies, or is to be written."""
    return root / RELEASE / name if variant == MERGED else root / EXPORTS / f"{name}-{variant}"


def with_files(card: str, files: Iterable[Path]) -> str:
    """The text of a release's card with a table of other files in the place of its own."""
    rows = "".join(f"| {file.name} | `{sha256(file)}` |\n" for file in files)
    return card.partition("## Files")[0] + f"## Files\n\n| file | sha256 |\n|---|---|\n{rows}"


def seal_export(root: Path, name: str, folder: Path) -> None:
    """Write the statement of an export: that of the release, on the export's files, with the release as an input."""
    statement = json.loads((released(root, name) / STATEMENT).read_text())
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name != STATEMENT)
    statement["subject"] = [{"name": file.name, "digest": {"sha256": sha256(file)}} for file in files]
    inputs = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    inputs.append({"uri": f"{RELEASE}/{name}", "digest": {"dvcMd5": content_hash(root / RELEASE / name)}})
    (folder / STATEMENT).write_text(json.dumps(statement, indent=2, sort_keys=True) + "\n")


def read_export(root: Path, name: str, variant: str) -> Path:
    """The folder of a variant.

    Raises:
        PipelineError: there is none, or it was made from another release than the one that is here.
    """
    source, folder = released(root, name), variant_folder(root, name, variant)
    if variant == MERGED:
        return source
    again = f"`make export POLICY={name} FORM={variant}` makes it."
    if not (folder / STATEMENT).is_file():
        raise PipelineError(f"{folder.relative_to(root)}: there is no such export. {again}")
    statement = json.loads((folder / STATEMENT).read_text())
    if _input(statement, f"{RELEASE}/{name}") != content_hash(source):
        raise PipelineError(f"{folder.relative_to(root)} was made from another {RELEASE}/{name}. {again}")
    return folder


def _input(statement: Mapping[str, Any], uri: str) -> str | None:
    inputs = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    return next((one["digest"]["dvcMd5"] for one in inputs if one["uri"] == uri), None)
