"""What a policy writes while it is trained, as a table that MLflow's UI shows beside the curves of its run."""

import json
from collections.abc import Mapping, Sequence

from pipeline.tracking.tracker import RunTracker

TABLE = "training_samples.json"
"""The artifact of the run."""


def log_samples(tracker: RunTracker, rows: Sequence[Mapping[str, object]]) -> None:
    """Log the table anew, in place of an earlier one with fewer rows.

    Args:
        rows: all of the run so far, with the same keys, in the order of its columns.
    """
    table = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
    tracker.keep({f"samples/{TABLE}": json.dumps(table)})
    tracker.tell("files", folder="samples")
    tracker.tag({"mlflow.loggedArtifacts": json.dumps([{"path": TABLE, "type": "table"}])})
