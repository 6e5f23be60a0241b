"""A released model with its statement, and a hub that lies in a dictionary."""

import hashlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import HfApi, RepoFile

from pipeline.params.loading import flatten
from pipeline.params.schema import Params
from pipeline.project.hashing import sha256
from pipeline.release.card import Facts, model_card
from pipeline.release.statement import provenance_statement
from pipeline.results.comparison import ComparedMethod, ComparedPolicy, Comparison
from tests.least_documents import least


class FakeHub:
    """The calls of HfApi that are used, with its signatures, and files by name in the place of a hub."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.loses = ""
        """A file that does not arrive whole."""
        self.refuses: Exception | None = None

    def _note(self, name: str, *arguments: Any, **named: Any) -> dict[str, Any]:
        bound = inspect.signature(getattr(HfApi, name)).bind(None, *arguments, **named).arguments
        self.calls.append((name, bound))
        if self.refuses is not None:
            raise self.refuses
        return bound

    def whoami(self) -> None:
        self._note("whoami")

    def create_repo(self, *arguments: Any, **named: Any) -> None:
        self._note("create_repo", *arguments, **named)

    def upload_folder(self, **named: Any) -> Any:
        asked = self._note("upload_folder", **named)
        for name in asked["allow_patterns"]:
            content = (asked["folder_path"] / name).read_bytes()
            self.files[name] = content[:-1] if name == self.loses else content
        return SimpleNamespace(oid="c0ffee", commit_url="https://hub/commit/c0ffee")

    def list_repo_tree(self, *arguments: Any, **named: Any) -> Iterator[RepoFile]:
        asked = self._note("list_repo_tree", *arguments, **named)
        assert asked["revision"] == "c0ffee"
        for name, content in self.files.items():
            blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
            lfs = {"size": len(content), "oid": hashlib.sha256(content).hexdigest(), "pointerSize": 130}
            large = {"lfs": lfs} if name.endswith(".safetensors") else {}
            yield RepoFile(path=name, size=len(content), oid=blob, **large)


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub()


def write_release(root: Path, name: str, params: Params) -> Path:
    """The files of artifacts/release/NAME besides those that are there already, and the report."""
    folder = root / "artifacts/release" / name
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model.safetensors").exists():
        (folder / "model.safetensors").write_bytes(b"weights")
    card = model_card(
        name, Facts("text-generation", [], []), params=flatten(params.model_dump()), section="optimize.dpo", digests={}
    )
    (folder / "README.md").write_text(card)
    digests = {file.name: sha256(file) for file in sorted(folder.iterdir())}
    statement = provenance_statement(digests, stage="select_checkpoint", params={}, inputs={"data/raw": "0"})
    (folder / "provenance.json").write_text(json.dumps(statement))
    write_flags(root, [])
    return folder


def write_flags(root: Path, flags: list[dict[str, Any]]) -> None:
    """reports/comparison.json with these flags."""
    policies = {"sft": least(ComparedPolicy), "dpo": least(ComparedMethod), "ppo": least(ComparedMethod)}
    comparison = least(Comparison, policies=policies, flags=flags)
    (root / "reports").mkdir(exist_ok=True)
    (root / "reports/comparison.json").write_text(json.dumps(comparison.as_json()))
