"""The run that can be compared: an evaluated policy with every parameter, dataset and cost that decided it.

Other stages log to an experiment of their own. The run of an evaluation carries the parameters of all stages behind
it, as dvc.lock has them, also of those that were not executed again.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.params.loading import flatten
from pipeline.project.defaults import Defaults
from pipeline.project.hashing import cached_path, folder_hash
from pipeline.project.lockfile import Artifact, Lock, StageRecord

_HEADLINES = (
    "judge_score", "judge_gain", "win_rate_vs_sft", "length_controlled_win_rate", "reward_score",
    "kl_nats_per_sequence", "perplexity_held_out", "distinct_2", "mean_response_tokens",
)  # fmt: skip
_NAMED_CHANGES = 3
"""Parameters that a run's name tells, when they differ from the committed ones."""


@dataclass(frozen=True)
class Behind:
    """What lies behind some inputs."""

    stages: Mapping[str, StageRecord]
    """In the order of their work."""
    breaks: tuple[str, ...]
    """Inputs that no entry of dvc.lock explains, such as a file that was edited by hand."""

    def params(self) -> dict[str, Any]:
        """Parameters of all stages by dotted key; where stages ran with different values, each with its stages."""
        found: dict[str, dict[str, list[str]]] = {}
        values: dict[str, Any] = {}
        for name, stage in self.stages.items():
            for key, value in stage.params.items():
                found.setdefault(key, {}).setdefault(repr(value), []).append(name)
                values[key] = value
        mixed = {
            key: "; ".join(f"{value} ({', '.join(names)})" for value, names in versions.items())
            for key, versions in found.items()
            if len(versions) > 1
        }
        return values | mixed


def behind(cache: Path, lock: Lock, inputs: Mapping[str, str]) -> Behind:
    """The stages behind inputs, as far as every hash on the way agrees.

    Args:
        cache: DVC's, which has the listings of folders.
        lock: dvc.lock, which has all stages that ran before the one that reads the inputs.
        inputs: content hash by path.
    """
    stages: dict[str, StageRecord] = {}
    breaks: list[str] = []

    def visit(artifact: Artifact) -> None:
        written = lock.producers(artifact.path)
        if written and not _is_content(cache, artifact, [output for _, output in written]):
            breaks.append(artifact.path)
            return
        for stage, _ in written:
            if stage.name not in stages:
                for dep in stage.inputs:
                    visit(dep)
                stages[stage.name] = stage

    for path, md5 in inputs.items():
        visit(Artifact(path, md5))
    return Behind(stages, tuple(dict.fromkeys(breaks)))


def _is_content(cache: Path, artifact: Artifact, outputs: Sequence[Artifact]) -> bool:
    """Whether outputs have an artifact's content: one of them, a part of one, or a folder in which they lie."""
    if artifact in outputs:
        return True
    files = {path: md5 for output in outputs for path, md5 in _files(cache, output) if artifact.covers(path)}
    if artifact.path in files:
        return files[artifact.path] == artifact.md5
    start = len(artifact.path) + 1
    return folder_hash({path[start:]: md5 for path, md5 in files.items()}) == artifact.md5


def _files(cache: Path, output: Artifact) -> Iterator[tuple[str, str]]:
    """Paths of an output's files with their hashes; none where the cache has no listing of the folder."""
    if not output.md5.endswith(".dir"):
        yield output.path, output.md5
        return
    listing = cached_path(cache, output.md5)
    if listing.is_file():
        for row in json.loads(listing.read_text()):
            yield f"{output.path}/{row['relpath']}", row["md5"]


def policy_name(place: Mapping[str, str], params: Mapping[str, Any], defaults: Defaults, experiment: str | None) -> str:
    """What the run is called: method and seed, what was changed of the committed parameters, DVC's experiment."""
    name = f"{place['method']} seed {place['seed']}" if place else "sft"
    changed = [key for key in defaults.changed(dict(params)) if key in params]
    told = [f"{key.rpartition('.')[2]}={params[key]}" for key in changed[:_NAMED_CHANGES]]
    more = [f"{len(changed) - len(told)} more"] if len(changed) > len(told) else []
    return " · ".join([name, *told, *more, *([experiment] if experiment else [])])


def policy_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Names for the UI, which makes a section of charts of what comes before a slash.

    What policies are compared by has no section: `judge_score`. Ends of intervals are in `interval/`, the rest in
    `detail/`; lists and what was not measured are left out.
    """
    named: dict[str, float] = {}
    for key, value in flatten(metrics).items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        base, _, end = key.rpartition(".")
        if base and end == "mean":
            key = base
        named[_section(key)] = float(value)
    return named


def _section(key: str) -> str:
    if key in _HEADLINES:
        return key
    return f"interval/{key}" if key.endswith((".low", ".high")) else f"detail/{key}"


def curve(history: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Steps of a training history (JSON Lines) with their metrics in the section `train/`."""
    for line in history.read_text().splitlines():
        row = json.loads(line)
        values = {f"train/{key}": float(value) for key, value in row.items() if _is_measured(key, value)}
        yield int(row["step"]), values


def _is_measured(key: str, value: Any) -> bool:
    return key != "step" and isinstance(value, int | float) and not isinstance(value, bool)


def described(stages: Mapping[str, Mapping[str, Any]], find: Callable[[str, str], Any]) -> str:
    """The lineage as Markdown, with links to the runs of its stages.

    Args:
        stages: by name, `outs` (content hash by path) and `seconds`, in the order of work.
        find: the newest run that wrote a path with a content, None where the store has none.
    """
    lines = ["| stage | run | seconds |", "|---|---|---|"]
    for name, stage in stages.items():
        runs = (find(path, md5) for path, md5 in stage["outs"].items())
        run = next((run for run in runs if run is not None), None)
        link = "not in this store"
        if run is not None:
            link = f"[{run.info.run_id[:8]}](#/experiments/{run.info.experiment_id}/runs/{run.info.run_id})"
        seconds = stage.get("seconds")
        lines.append(f"| {name} | {link} | {'' if seconds is None else f'{seconds:,.0f}'} |")
    return "\n".join(lines)
