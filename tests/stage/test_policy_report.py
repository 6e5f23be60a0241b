"""What the run of a policy is told of: datasets with the digests that they had in the run, and the table of samples."""

import json
from pathlib import Path
from typing import Any

from pipeline.project.hashing import content_hash
from pipeline.project.lockfile import Artifact, StageRecord
from pipeline.stage.policy_report import PolicyReport
from pipeline.tracking.policy_run import Behind

PACKAGES = "requirements-embedded.txt"


class Tracker:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}
        self.kept: dict[str, Any] = {}

    def tell(self, event: str, **fields: Any) -> None:
        self.told[event] = fields

    def keep(self, files: dict[str, Any]) -> None:
        self.kept |= files

    def log(self, metrics: dict[str, float]) -> None: ...

    def tag(self, tags: dict[str, str]) -> None: ...


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_without_rows_is_no_dataset(tmp_path: Path) -> None:
    pairs = "artifacts/preferences/accepted/train.jsonl"
    inputs = {"artifacts/data/pairs.jsonl": content_hash(write(tmp_path / "pairs.jsonl", "\n")), pairs: "a" * 32}
    report = PolicyReport(tmp_path, tmp_path, {}, inputs, "tests")
    report.__dict__["_behind"] = Behind({}, ())
    tracker = Tracker()
    report.tell_inputs(tracker)  # type: ignore[arg-type]
    assert [one["name"] for one in tracker.told["datasets"]["datasets"]] == [pairs]


def test_the_table_of_samples_begins_with_what_is_compared(tmp_path: Path) -> None:
    row = {"category": "a", "judge_score": 0.5, "prompt": "p", "response": "r"}
    write(tmp_path / "reports/policies/sft/samples.jsonl", json.dumps(row) + "\n")
    report = PolicyReport(tmp_path, tmp_path, {}, {}, "tests")
    report.__dict__["_behind"] = Behind({}, ())
    tracker = Tracker()
    report.tell_results(tracker)  # type: ignore[arg-type]
    table = json.loads(tracker.kept["run/samples.json"])
    assert table == {"columns": ["prompt", "response", "judge_score", "category"], "data": [["p", "r", 0.5, "a"]]}


def test_a_source_has_the_hash_that_prepare_data_noted_and_one_of_a_hub_is_not_named(tmp_path: Path) -> None:
    sources = [
        {"file": "data/raw/a.csv", "md5": "a" * 32, "rows": 3},
        {"file": "package:reviews/b.csv", "md5": "b" * 32, "rows": 4},
        {"file": "hub:owner/name", "md5": None, "rows": 5},
    ]
    (tmp_path / "reports/data").mkdir(parents=True)
    (tmp_path / "reports/data/sources.json").write_text(json.dumps({"sources": sources}))
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/raw/a.csv").write_text("edited since\n")
    report = PolicyReport(tmp_path, tmp_path, {}, {}, "tests")
    prepared = StageRecord("prepare_data", "p", [Artifact(PACKAGES, "c" * 32)], [], [], {})
    report.__dict__["_behind"] = Behind({"prepare_data": prepared}, ())
    tracker = Tracker()
    report.tell_inputs(tracker)  # type: ignore[arg-type]
    digests = {one["name"]: (one["digest"], one["rows"]) for one in tracker.told["datasets"]["datasets"]}
    assert digests == {"data/raw/a.csv": ("a" * 32, 3), "package:reviews/b.csv": ("b" * 32, 4)}
