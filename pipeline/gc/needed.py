"""Contents that must stay in DVC's cache: those of git's refs, of the working folder, and of aliases in MLflow.

DVC finds by itself what branches, tags and experiments say. It does not know that a champion in MLflow was made from a
state that nobody committed, nor that its cache of runs needs the outputs that git keeps (`cache: false`).
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import PipelineError
from pipeline.project.hashing import cached_path
from pipeline.project.lockfile import Lock, revision_file
from pipeline.tracking.policy_run import behind
from pipeline.tracking.registry import aliased_versions
from pipeline.tracking.store import Store

_SOURCES = "reports/data/sources.json"
_REFS = {"refs/heads": "branches", "refs/tags": "tags", "refs/exps": "experiments"}
_WROTE, _READ = "dvc.out/", "dvc.dep/"


@dataclass(frozen=True)
class Needed:
    """The contents that one state of the project needs, by DVC's hash; they need not be in the cache."""

    by: str
    hashes: frozenset[str]


class _Any:
    """Contains every name of a stage: the dvc.yaml of a state that was never committed is not known."""

    def __contains__(self, name: object) -> bool:
        return True


def needed_by_git(root: Path) -> list[Needed]:
    """Outputs in the dvc.lock of the working folder, of HEAD, and of every branch, tag and experiment.

    Raises:
        PipelineError: a dvc.lock cannot be read.
    """
    here = root / "dvc.lock"
    texts = {"the workspace": [here.read_bytes()] if here.exists() else []}
    for folder, name in _REFS.items():
        refs = _git(root, "for-each-ref", "--format=%(refname)", folder).split()
        found = [text for ref in refs if (text := revision_file(root, ref, "dvc.lock")) is not None]
        if found:
            texts[f"{len(found)} {name if len(found) > 1 else name.removesuffix('es').removesuffix('s')}"] = found
    head = revision_file(root, "HEAD", "dvc.lock")
    if head is not None:
        texts["the workspace"].append(head)
    return [Needed(name, frozenset().union(*map(_outputs, set(found)))) for name, found in texts.items()]


def _outputs(text: bytes) -> frozenset[str]:
    try:
        stages = YAML(typ="safe").load(text.decode())["stages"]
        return frozenset(out["md5"] for stage in stages.values() for out in stage.get("outs", []))
    except (YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise PipelineError(
            f"a dvc.lock of the working folder, a branch or a tag cannot be read ({type(error).__name__}: {error}), so "
            "nothing is removed. `git checkout dvc.lock` brings the committed one back."
        ) from error


def needed_by_aliases(store: Store, cache: Path) -> Iterator[Needed]:
    """What was made on the way to each version with an alias: champion, candidate, or one that people gave.

    Args:
        store: the store of the registered models.
        cache: DVC's cache, by md5.

    Raises:
        PipelineError: the run of a version does not say what the version was made from.
    """
    for aliases, version in aliased_versions(store.client):
        by = f"{' and '.join(aliases)}: version {version.version} of {version.name}, {version.description}"
        run = store.client.get_run(version.run_id)
        told = {key: value for key, value in run.data.tags.items() if key.startswith((_WROTE, _READ))}
        if not any(key.startswith(_WROTE) for key in told):
            continue  # a model of another project in a store that is shared
        yield Needed(by, frozenset(told.values()) | _lineage(_lock_of(store, version), told, cache))


def _lineage(lock: Lock, told: Mapping[str, str], cache: Path) -> frozenset[str]:
    inputs = {key.removeprefix(_READ): md5 for key, md5 in told.items() if key.startswith(_READ)}
    stages = behind(cache, lock, inputs).stages.values()
    outputs = {out.path: out.md5 for stage in stages for out in stage.outputs}
    read = {dep.md5 for stage in stages for dep in stage.inputs}
    return frozenset(outputs.values()) | read | _raw_files(cached_path(cache, outputs.get(_SOURCES, "")))


def _raw_files(report: Path) -> frozenset[str]:
    """Hashes of raw files that `dvc add` put into the cache: dvc.lock has only the hash of their folder."""
    if not report.is_file():
        return frozenset()
    return frozenset(source["md5"] for source in json.loads(report.read_text()).get("sources", []) if source.get("md5"))


def _lock_of(store: Store, version: Any) -> Lock:
    label = f"dvc.lock of run {version.run_id}"
    with TemporaryDirectory() as folder:
        try:
            text = Path(store.client.download_artifacts(version.run_id, "dvc.lock", folder)).read_text()
        except Exception as error:  # MLflow raises anything from OSError to requests
            raise PipelineError(
                f"{label}, an artifact in MLflow, cannot be read, so that nobody knows what version {version.version} "
                f"of {version.name} needs, and nothing is removed ({error}). Bring it back, or take the version's "
                "aliases away in `make ui`."
            ) from error
    return Lock(text, label=label, names=_Any())


def _git(root: Path, *arguments: str) -> str:
    found = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return found.stdout if found.returncode == 0 else ""
