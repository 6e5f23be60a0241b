"""The runs by which policies are compared: each has every parameter, dataset and cost behind an evaluated policy.

Other stages log to a separate experiment. The run of an evaluation has the parameters of all stages behind it, as
dvc.lock has them, even of stages that were not executed again.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from pipeline.params.dotted import DottedParams
from pipeline.params.loading import flatten
from pipeline.project.defaults import Defaults
from pipeline.project.hashing import cached_path, folder_hash
from pipeline.project.lockfile import Artifact, Lock, StageRecord

_HEADLINES = (
    "judge_score", "judge_gain", "win_rate_vs_sft", "length_controlled_win_rate", "reward_score",
    "kl_nats_per_sequence", "perplexity_held_out", "distinct_2", "mean_response_tokens",
)  # fmt: skip
_KNOBS = {
    "dpo": ("optimize.dpo.beta",),
    "ppo": ("optimize.ppo.kl_coef",),
    "hybrid": ("optimize.dpo.beta", "optimize.hybrid.kl_coef"),
}
"""The parameters of each method that are varied first: a run's name always has them, even if they are the defaults."""
_NAMED_CHANGES = 3
"""How many other parameters a run's name has at most, of those that differ from the committed values."""


@dataclass(frozen=True)
class Behind:
    """The stages that made some inputs."""

    stages: Mapping[str, StageRecord]
    """The stages by name, in the order in which they ran."""
    breaks: tuple[str, ...]
    """Inputs that no entry of dvc.lock explains, such as a file that was edited by hand."""

    def params(self) -> DottedParams:
        """Parameters of all stages by dotted key; if stages ran with different values, each value with its stages."""
        stages_of: dict[str, dict[str, list[str]]] = {}
        for name, stage in self.stages.items():
            for key, value in stage.params.items():
                stages_of.setdefault(key, {}).setdefault(repr(value), []).append(name)
        values = {key: value for stage in self.stages.values() for key, value in stage.params.items()}
        mixed = {
            key: "; ".join(f"{value} ({', '.join(names)})" for value, names in versions.items())
            for key, versions in stages_of.items()
            if len(versions) > 1
        }
        return values | mixed


def behind(cache: Path, lock: Lock, inputs: Mapping[str, str]) -> Behind:
    """The stages that made some inputs, followed back as long as all hashes agree.

    Args:
        cache: DVC's cache, with the listings of folders.
        lock: dvc.lock, with all stages that ran before the one that reads the inputs.
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
    """Whether the artifact is one of the outputs, a part of one, or a folder that consists of them."""
    if artifact in outputs:
        return True
    files = {path: md5 for output in outputs for path, md5 in _files(cache, output) if artifact.covers(path)}
    if artifact.path in files:
        return files[artifact.path] == artifact.md5
    start = len(artifact.path) + 1
    return folder_hash({path[start:]: md5 for path, md5 in files.items()}) == artifact.md5


def _files(cache: Path, output: Artifact) -> Iterator[tuple[str, str]]:
    """Paths of an output's files with their hashes; none if the cache has no listing of the folder."""
    if not output.md5.endswith(".dir"):
        yield output.path, output.md5
        return
    listing = cached_path(cache, output.md5)
    if listing.is_file():
        for row in json.loads(listing.read_text()):
            yield f"{output.path}/{row['relpath']}", row["md5"]


def policy_name(place: Mapping[str, str], params: DottedParams, defaults: Defaults, experiment: str | None) -> str:
    """The name of a run: method, seed, main parameters, a few others that were changed, and DVC's experiment.

    Args:
        place: `method` and `seed` of the policy; empty for SFT.
        params: the parameters of all stages behind the policy.
        defaults: the committed parameters.
        experiment: the name of the DVC experiment, if there is one.
    """
    name = f"{place['method']} seed {place['seed']}" if place else "sft"
    knobs = [key for key in _KNOBS.get(place.get("method", ""), ()) if key in params]
    changed = [key for key in defaults.changed(dict(params)) if key in params and key not in knobs]
    told = [f"{_short(key, params)}={params[key]}" for key in knobs + changed[:_NAMED_CHANGES]]
    left = len(changed) - _NAMED_CHANGES
    return " · ".join([name, *told, *([f"{left} more"] if left > 0 else []), *([experiment] if experiment else [])])


def _short(key: str, keys: Collection[str]) -> str:
    """The shortest end of a dotted key that no other key has: `beta`, but `dpo.learning_rate`."""
    parts = key.split(".")
    ends = (".".join(parts[start:]) for start in range(len(parts) - 1, 0, -1))
    return next((end for end in ends if sum(f".{other}".endswith(f".{end}") for other in keys) == 1), key)


def policy_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics under names for the UI, which makes a section of charts for each prefix before a slash.

    Those by which policies are compared have no section and come first, such as `judge_score`. Ends of intervals are in
    `interval/`, the rest in `detail/`; lists and what was not measured are left out.
    """
    named: dict[str, float] = {}
    for key, value in flatten(metrics).items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        base, _, end = key.rpartition(".")
        if base and end == "mean":
            key = base
        named[_section(key)] = float(value)
    # the UI lists metrics in the order in which they were logged, and draws the first one where runs are compared
    return {key: named[key] for key in sorted(named, key=_rank)}


def _rank(key: str) -> int:
    return _HEADLINES.index(key) if key in _HEADLINES else len(_HEADLINES)


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


class StageBehind(TypedDict):
    """A stage behind a policy, as the journal has it."""

    outs: dict[str, str]
    """Content hash by path."""
    seconds: float | None
    """None where its costs are not known."""


def described(stages: Mapping[str, StageBehind], find: Callable[[str, str], Any]) -> str:
    """The lineage as Markdown, with links to the runs of its stages; a list, because the UI renders tables badly.

    Args:
        stages: by name, in the order in which they ran.
        find: returns the newest run that wrote a path with a content hash, None if the store has none.
    """
    lines = ["Runs of the stages behind this policy, the last one first:", ""]
    for name, stage in reversed(list(stages.items())):
        runs = (find(path, md5) for path, md5 in stage["outs"].items())
        run = next((run for run in runs if run is not None), None)
        text = f"{name} (not in this store)"
        if run is not None:
            text = f"[{name}](#/experiments/{run.info.experiment_id}/runs/{run.info.run_id})"
        seconds = stage.get("seconds")
        lines.append(f"- {text}" if seconds is None else f"- {text}, {seconds:,.0f} s")
    return "\n".join(lines)
