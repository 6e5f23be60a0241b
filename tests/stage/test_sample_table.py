"""The table of samples that grows while PPO trains."""

import json

from pipeline.stage.sample_table import log_samples
from tests.stage.test_policy_report import Tracker


class Tagged(Tracker):
    def tag(self, tags: dict[str, str]) -> None:
        self.told |= tags


def test_the_ui_finds_the_newest_table() -> None:
    tracker = Tagged()
    rows = [{"iteration": at, "prompt": "p", "response": f"r{at}", "score": 0.5} for at in (1, 2)]
    for count in (1, 2):
        log_samples(tracker, rows[:count])  # type: ignore[arg-type]
    table = json.loads(tracker.kept["samples/training_samples.json"])
    assert table == {
        "columns": ["iteration", "prompt", "response", "score"],
        "data": [[1, "p", "r1", 0.5], [2, "p", "r2", 0.5]],
    }
    assert tracker.told["files"] == {"folder": "samples"}
    assert json.loads(tracker.told["mlflow.loggedArtifacts"]) == [{"path": "training_samples.json", "type": "table"}]
