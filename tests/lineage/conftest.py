"""Projects as small as their dvc.lock, without DVC: files, a cache, and what stages read and wrote."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.lineage import contents as contents_module
from pipeline.lineage.contents import Contents
from pipeline.project import lockfile
from pipeline.project.hashing import content_hash
from pipeline.project.lockfile import Lock

Rows = Iterable[dict[str, Any]]


class Project:
    """A folder whose stages are added one by one, as they are when their outputs lie there."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        self.cache = cache
        self.entries: dict[str, Any] = {}

    def write(self, path: str, content: str | Rows) -> None:
        """A file; rows become JSON Lines."""
        text = content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in content)
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def stage(self, name: str, reads: list[str], writes: list[str], params: dict[str, Any] | None = None) -> None:
        """The stage has just run: its entry in the lock, and its outputs in the cache."""
        deps, outs = (
            [{"path": path, "md5": content_hash(self.root / path)} for path in part] for part in (reads, writes)
        )
        self.entries[name] = {"cmd": name, "deps": deps, "outs": outs, "params": {"params.yaml": params or {}}}
        for path in writes:
            self._store(self.root / path)

    def lock(self) -> Lock:
        """Its dvc.lock."""
        path = self.root / "dvc.lock"
        YAML().dump({"schema": "2.0", "stages": self.entries}, path)
        return Lock(path.read_text(), label="dvc.lock", names=set(self.entries))

    def contents(self) -> Contents:
        """What lies there now."""
        return Contents(self.root)

    def cached(self, md5: str) -> Path:
        """Where the cache has a content."""
        return self.cache / md5[:2] / md5[2:]

    def _store(self, path: Path) -> None:
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        for file in files:
            target = self.cached(content_hash(file))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        if path.is_dir():
            rows = [{"md5": content_hash(file), "relpath": file.relative_to(path).as_posix()} for file in files]
            listing = json.dumps(sorted(rows, key=lambda row: row["relpath"]), sort_keys=True)
            target = self.cached(hashlib.md5(listing.encode()).hexdigest() + ".dir")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(listing)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    (tmp_path / "project").mkdir()
    monkeypatch.setattr(contents_module, "cache_folder", lambda _: tmp_path / "cache")
    return Project(tmp_path / "project", tmp_path / "cache")


STORE = "mlflow.db"
RAW = "data/raw/a.jsonl"
SOURCES = "reports/data/sources.json"
PROMPT, EVALUATED, LABELLED, TEXT = "a" * 16, "b" * 16, "c" * 16, "d" * 16
PAIR, REFUSED, TESTED = "1" * 16, "2" * 16, "3" * 16


def pair(identity: str, prompt: str, **more: Any) -> dict[str, Any]:
    return {"id": identity, "prompt_id": prompt, "prompt": "Why?", "chosen": "So.", "rejected": "No.", **more}


@pytest.fixture
def rlhf(project: Project) -> Project:
    """The stages of a run with DPO and hybrid, each file with the rows that the tests follow."""
    write, stage = project.write, project.stage
    write(RAW, [{"text": f"row {number} says\nWhy? {'x' * 300}"} for number in range(1, 6)])
    write("params.yaml", "data: 1\n")
    fates = [(LABELLED, "used.judge"), (TEXT, "used.sft"), (PROMPT, "used.train"), (EVALUATED, "used.evaluation")]
    rows = [{"source": RAW, "row": n, "id": one, "fate": fate} for n, (one, fate) in enumerate(fates, start=1)]
    write("artifacts/data/fates.jsonl", [*rows, {"source": RAW, "row": 5, "id": None, "fate": "dropped.empty_text"}])
    write("artifacts/data/labels/train.jsonl", [{"id": LABELLED, "text": "good", "label": 1}])
    write("artifacts/data/texts/train.jsonl", [{"id": TEXT, "prompt": "Why?", "response": "So."}])
    write("artifacts/data/prompts/train.jsonl", [{"id": PROMPT, "prompt": "Why?"}])
    write("artifacts/data/prompts/evaluation.jsonl", [{"id": EVALUATED, "prompt": "Who?"}])
    write("artifacts/data/prompts/validation.jsonl", [{"id": "e" * 16, "prompt": "When?"}])
    write(SOURCES, json.dumps({"sources": [{"file": RAW, "md5": content_hash(project.root / RAW), "rows": 5}]}))
    stage("prepare_data", ["data/raw"], ["artifacts/data", SOURCES], {"data": {"source": RAW}})
    models = ("judge", "evaluation_judge", "sft", "reward_model", "training/dpo/seed-0", "training/hybrid/seed-0")
    for name in (*models, "policies/dpo/seed-0"):
        write(f"artifacts/{name}/model.safetensors", name)
    judges = ["artifacts/judge", "artifacts/evaluation_judge"]
    stage("fit_judge", ["artifacts/data/labels"], judges, {"judge": {"kind": "classifier"}})
    stage("train_sft", ["artifacts/data/texts/train.jsonl"], ["artifacts/sft"])
    write("artifacts/preferences/raw.jsonl", [pair(one, PROMPT) for one in (PAIR, REFUSED, TESTED)])
    reads = ["artifacts/sft", "artifacts/judge", "artifacts/data/prompts/train.jsonl"]
    stage("collect_preferences", reads, ["artifacts/preferences/raw.jsonl"])
    write("artifacts/preferences/accepted/train.jsonl", [pair(PAIR, PROMPT)])
    write("artifacts/preferences/accepted/test.jsonl", [pair(TESTED, PROMPT)])
    write("artifacts/preferences/quarantine.jsonl", [pair(REFUSED, PROMPT, reasons="too_long")])
    writes = ["artifacts/preferences/accepted", "artifacts/preferences/quarantine.jsonl"]
    stage("validate_preferences", ["artifacts/preferences/raw.jsonl"], writes)
    train, test = (f"artifacts/preferences/accepted/{split}.jsonl" for split in ("train", "test"))
    stage("train_reward", [train], ["artifacts/reward_model"])
    write("reports/reward_model/metrics.json", "{}")
    stage("evaluate_reward", [test, "artifacts/reward_model"], ["reports/reward_model/metrics.json"])
    write("artifacts/inputs/dpo/pairs.jsonl", [{"id": PAIR}])
    stage("score_reference", ["artifacts/sft", train], ["artifacts/inputs/dpo"])
    stage("optimize_policy@dpo-0", ["artifacts/sft", "artifacts/inputs/dpo"], ["artifacts/training/dpo/seed-0"])
    reads = ["artifacts/training/dpo/seed-0", "artifacts/data/prompts/validation.jsonl"]
    stage("select_checkpoint@dpo-0", reads, ["artifacts/policies/dpo/seed-0"])
    for seed in (0, 1):
        write(f"artifacts/inputs/hybrid/seed-{seed}/prompts.jsonl", [{"id": PROMPT, "prompt": "Why?"}] if seed else [])
    reads = ["artifacts/policies/dpo/seed-0", "artifacts/data/prompts/train.jsonl"]
    stage("find_regressions@0", reads, ["artifacts/inputs/hybrid/seed-0", "artifacts/inputs/hybrid/seed-1"])
    stage("optimize_policy@hybrid-0", ["artifacts/inputs/hybrid"], ["artifacts/training/hybrid/seed-0"])
    write("reports/policies/dpo/seed-0/samples.jsonl", [{"id": EVALUATED, "prompt": "Who?", "response": "Nobody."}])
    reads = ["artifacts/policies/dpo/seed-0", "artifacts/sft", "artifacts/data/prompts/evaluation.jsonl"]
    stage("evaluate_policy@dpo-0", reads, ["reports/policies/dpo/seed-0/samples.jsonl"])
    return project


@pytest.fixture
def tracked(rlhf: Project, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The same with a store, and no run in it."""
    rlhf.write("params.yaml", f"tracking:\n  uri: sqlite:///{STORE}\n")
    rlhf.lock()
    monkeypatch.setattr(lockfile, "stage_names", lambda *_, **__: set(rlhf.entries))
    shutil.copy(empty_store, rlhf.root / STORE)
    return rlhf
