"""What speaks against giving a released model to others: it is stale, flagged, or its folder is not as it was built."""

import json
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import ModelCard

from pipeline.errors import PipelineError
from pipeline.lineage.contents import Contents
from pipeline.lineage.tree import lineage
from pipeline.lineage.verify import breaks
from pipeline.project.hashing import sha256
from pipeline.project.lockfile import workspace_lock
from pipeline.release.card import policy_facts, reward_model_facts
from pipeline.results.comparison import Comparison
from pipeline.results.document import Document, read_document
from pipeline.results.reward import RewardMetrics
from pipeline.sharing.variants import RELEASE, STATEMENT

D = TypeVar("D", bound=Document)


def stale(root: Path, name: str) -> list[str]:
    """What behind a release is no longer what dvc.lock says: files, code, parameters; empty when all is."""
    lock, contents = workspace_lock(root), Contents(root)
    return breaks(lineage(f"{RELEASE}/{name}", lock, contents, runs=None), lock, contents, root)


def flags(root: Path, name: str) -> list[str]:
    """What the report warns of about a model."""
    comparison = _report(root, "reports/comparison.json", Comparison)
    if name == "reward_model":
        metrics = _report(root, "reports/reward_model/metrics.json", RewardMetrics)
        return list(reward_model_facts(comparison, metrics).flags)
    return list(policy_facts(name, comparison, {}).flags)


def broken(folder: Path) -> list[str]:
    """Files that are not those of the folder's statement, or a card that a hub would not take."""
    statement = json.loads((folder / STATEMENT).read_text())
    digests = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    files = {path.name: path for path in folder.iterdir() if path.name != STATEMENT}
    found = [f"{name}: gone" for name in sorted(digests.keys() - files.keys())]
    found += [f"{name}: not in {STATEMENT}" for name in sorted(files.keys() - digests.keys())]
    changed = (name for name in digests.keys() & files.keys() if sha256(files[name]) != digests[name])
    found += [f"{name}: not the file of {STATEMENT}" for name in sorted(changed)]
    if "README.md" not in files:
        return found
    try:
        data = ModelCard(files["README.md"].read_text()).data
    except ValueError as error:
        return [*found, f"README.md: no metadata that a hub reads ({error})"]
    if data.library_name == "peft" and data.base_model is None:
        found.append("README.md: base_model is missing, so nobody could use them; export with BASE=OWNER/NAME")
    needed = ("library_name", "pipeline_tag")
    return found + [f"README.md: {key} is missing" for key in needed if getattr(data, key) is None]


def card_notes(folder: Path) -> list[str]:
    """What the card's metadata say, and what a hub would miss in them; a line each."""
    data = ModelCard((folder / "README.md").read_text()).data
    known: dict[str, Any] = data.to_dict()
    lines = [f"{key}: {known[key]}" for key in _SHOWN if known.get(key)]
    return lines + [f"{key}: none; {why}" for key, why in _SHOWN.items() if why and not known.get(key)]


_SHOWN = {
    "base_model": "the starting model is not known to a hub",
    "base_model_relation": "",
    "datasets": "the data are not a hub's",
    "license": "set publish_models.license, or people may not use it",
    "language": "",
}
"""Keys of the metadata, with what it means that one is missing; nothing is said where that means nothing."""


def _report(root: Path, path: str, kind: type[D]) -> D:
    if not (root / path).is_file():
        raise PipelineError(f"{path}: missing. Build it with `make repro`.")
    return read_document(root / path, kind)
