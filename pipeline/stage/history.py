"""The training history of a stage: one row for each step, on disk from the start, so that it survives a kill."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NotRequired, TypedDict

from pipeline.stage.costs import CostMeter


class Entry(TypedDict):
    """One step, as it lies on disk while a stage runs."""

    row: dict[str, float]
    """Its metrics, and `step`."""
    time: NotRequired[int]
    """In ms since 1970."""
    costs: dict[str, float]
    """Of the stage so far."""


class History:
    """Rows of metrics by step; the first step of a resumed stage replaces its earlier row and all later ones."""

    def __init__(self, path: Path, costs: CostMeter) -> None:
        """Read the rows that an earlier execution left at `path`; what it had cost is added to `costs`."""
        self._path = path
        self._costs = costs
        self._earlier: list[Entry] = _entries(path)
        self._rows: list[dict[str, float]] = []
        self._continued = False

    def was_logged(self, step: int) -> bool:
        """Whether an earlier execution has logged this step already, with the same values."""
        return any(entry["row"]["step"] == step for entry in self._earlier)

    def earlier(self) -> Iterator[tuple[int, int, dict[str, float]]]:
        """Steps of an earlier execution, each with its time (ms since 1970) and its metrics.

        They are sent to the tracker again, because a kill may have come between the history and the tracker.
        """
        for entry in self._earlier:
            metrics = {key: value for key, value in entry["row"].items() if key != "step"}
            if "time" in entry:
                yield int(entry["row"]["step"]), entry["time"], metrics

    def add(self, step: int, metrics: Mapping[str, float], *, at: int) -> None:
        """Append a row, in memory and on disk; `at` is the time (ms since 1970)."""
        if not self._continued:
            self._continue_at(step)
        row = {"step": step, **{key: float(value) for key, value in metrics.items()}}
        self._rows.append(row)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as stream:
            stream.write(json.dumps({"row": row, "time": at, "costs": self._costs.so_far()}) + "\n")

    def as_text(self) -> str:
        """The rows as JSON Lines."""
        if not self._continued:  # an earlier execution did all steps
            self._continue_at(None)
        return "".join(json.dumps(row, sort_keys=True) + "\n" for row in self._rows)

    def _continue_at(self, step: int | None) -> None:
        """Keep the earlier rows before the first step of this execution; None keeps all."""
        self._continued = True
        last: dict[int, Entry] = {int(entry["row"]["step"]): entry for entry in self._earlier}
        kept = [last[number] for number in sorted(last) if step is None or number < step]
        self._rows = [entry["row"] for entry in kept]
        if kept:
            self._costs.add_earlier(kept[-1]["costs"])


def _entries(path: Path) -> list[Entry]:
    """The entries of all complete lines; a killed process may have left half a line at the end."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
