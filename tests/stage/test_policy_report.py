"""The datasets that the run of a policy names have the digests that its sources had in the run."""

import json
from pathlib import Path
from typing import Any

from pipeline.project.lockfile import Artifact, StageRecord
from pipeline.stage.policy_report import PolicyReport
from pipeline.tracking.policy_run import Behind

PACKAGES = "requirements-embedded.txt"


class Tracker:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}

    def tell(self, event: str, **fields: Any) -> None:
        self.told[event] = fields


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
