"""Compares dvc.lock with what MLflow's runs say of the stages behind a path.

dvc.lock, params.yaml, the cache and the working folder are files, which can be edited until they agree. The run of a
stage is a second witness: the stage itself logged its parameters, its results, and the hashes of its inputs, code and
outputs.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.lineage.contents import Contents
from pipeline.lineage.logged_values import same_value
from pipeline.lineage.runs import LoggedRun, Runs
from pipeline.params.loading import flatten
from pipeline.project.hashing import folder_hash
from pipeline.project.lockfile import Artifact, StageRecord
from pipeline.tracking.policy_run import policy_metrics

_SHOWN = 12
"""Hex digits of a hash."""
_NAMED = 10
"""Differences that a line names; further ones are only counted."""


@dataclass
class Testimony:
    """The stages, by whether their runs agree with dvc.lock."""

    breaks: list[str] = field(default_factory=list)
    """A line for each stage whose runs contradict dvc.lock."""
    confirmed: list[str] = field(default_factory=list)
    """Names of stages whose entry in dvc.lock a run confirms."""
    unconfirmed: dict[str, str] = field(default_factory=dict)
    """Names of stages of which no run says anything, each with the reason."""


def testimony(stages: Iterable[StageRecord], runs: Runs, contents: Contents) -> Testimony:
    """Compare the runs of every stage with its entry in dvc.lock."""
    told = Testimony()
    for stage in stages:
        said = _Said(stage, runs.of_version(stage), contents)
        if said.confirms:
            told.confirmed.append(stage.name)
        elif said.contradiction is not None:
            told.breaks.append(said.contradiction)
        else:
            told.unconfirmed[stage.name] = said.silence
    return told


class _Said:
    """The witnesses of a stage: runs that wrote its outputs, or else runs of the same inputs, code and parameters."""

    def __init__(self, stage: StageRecord, runs: Sequence[LoggedRun], contents: Contents) -> None:
        differing = {run.run_id: _differences(stage, run, contents) for run in runs}
        wrote = [run for run in runs if not _other_outputs(stage, run)]
        self._stage, self._runs, self._differing = stage, wrote, differing
        # without a run that wrote these outputs: one that differs in nothing else shows that they were replaced
        others = [run for run in runs if not (_other_facts(stage, run) or _other_params(stage, run))]
        self._witnesses = wrote or others

    @property
    def confirms(self) -> bool:
        """Whether a run that this stage logged agrees with dvc.lock, and so does every copy of that run."""
        doubted = {run.journal for run in self._witnesses if self._differing[run.run_id]}
        agreeing = (run for run in self._witnesses if not self._differing[run.run_id])
        return any(run.journal and run.stage == self._stage.name and run.journal not in doubted for run in agreeing)

    @property
    def contradiction(self) -> str | None:
        """How the most similar run that contradicts dvc.lock does so; None if no run does."""
        contrary = [run for run in self._witnesses if self._differing[run.run_id]]
        if not contrary:
            return None
        run = min(contrary, key=lambda candidate: len(self._differing[candidate.run_id]))
        differences = self._differing[run.run_id]
        more = [f"and {len(differences) - _NAMED} more"] if len(differences) > _NAMED else []
        same = "" if self._runs else ", of the same inputs, code and parameters"
        copied = any(other.journal == run.journal and other is not run for other in self._witnesses)
        copy = " (another run says that it is the same execution)" if copied and run.journal else ""
        deleted = " (deleted in MLflow)" if run.deleted else ""
        name = self._stage.name
        return (
            f"{name}: dvc.lock says something else than MLflow's run {run.run_id}{deleted}{copy}{same}: "
            f"{'; '.join([*differences[:_NAMED], *more])}. `git checkout dvc.lock params.yaml` brings back what was "
            f"committed, `dvc repro --force --single-item {name}` makes a run of what stands there; if another machine "
            "wrote this version, ask its store (MLFLOW_TRACKING_URI)"
        )

    @property
    def silence(self) -> str:
        """Why the runs neither confirm nor contradict dvc.lock."""
        if not self._runs:
            return "no run in MLflow says that it wrote this version"
        return "a run in MLflow says that it wrote this version, and no stage of this name has logged it"


def _differences(stage: StageRecord, run: LoggedRun, contents: Contents) -> list[str]:
    recorded = [*_other_params(stage, run), *_other_facts(stage, run), *_other_outputs(stage, run)]
    return recorded + _other_metrics(stage, run, contents)


def _other_params(stage: StageRecord, run: LoggedRun) -> list[str]:
    params = stage.params
    # the run of a policy also has the parameters of the stages behind it
    keys = sorted(params) if run.is_policy else sorted({*params, *run.params})
    differences = []
    for key in keys:
        here = f"{params[key]!r} in dvc.lock" if key in params else "not in dvc.lock"
        there = f"{run.params[key]} in the run" if key in run.params else "not in the run"
        if key not in params or key not in run.params or not same_value(params[key], run.params[key]):
            differences.append(f"{key} is {here} and {there}")
    return differences


def _other_facts(stage: StageRecord, run: LoggedRun) -> list[str]:
    """Differences of inputs and code."""
    differences = [
        f"it read {dep.path} as {dep.md5[:_SHOWN]} in dvc.lock and as {_short(run.read(dep))} in the run"
        for dep in stage.inputs
        if run.read(dep) != dep.md5
    ]
    same = run.code == folder_hash({item.path: item.md5 for item in stage.code})
    return differences if same else [*differences, "the code is another in dvc.lock than in the run"]


def _other_outputs(stage: StageRecord, run: LoggedRun) -> list[str]:
    return [
        f"{out.path} is {out.md5[:_SHOWN]} in dvc.lock and {_short(run.wrote(out))} in the run"
        for out in stage.outputs
        if run.wrote(out) != out.md5
    ]


def _other_metrics(stage: StageRecord, run: LoggedRun, contents: Contents) -> list[str]:
    """Numbers in the stage's JSON outputs that differ from the metrics that it logged."""
    values: dict[str, list[tuple[str, float]]] = {}
    for out in stage.outputs:
        for key, value in _numbers(out, contents, policy=run.is_policy).items():
            values.setdefault(key, []).append((out.path, value))
    return [
        f"{key} is {value:g} in {path} and {run.metrics[key]:g} in the run"
        for key, ((path, value), *others) in values.items()
        # if two files have the key, it is not known from which one the metric was logged
        if key in run.metrics and not others and not _same_number(value, run.metrics[key])
    ]


def _numbers(out: Artifact, contents: Contents, *, policy: bool) -> dict[str, float]:
    """The numbers of a JSON file, under the names with which its stage logs them as metrics."""
    file = contents.locate(out.path, out.md5) if out.path.endswith(".json") else None
    try:
        document: Any = json.loads(file.read_text()) if file is not None else None
    except ValueError:
        return {}
    if not isinstance(document, dict):
        return {}
    if policy:
        return policy_metrics(document)
    flat = flatten(document).items()
    return {f"final.{key}": float(value) for key, value in flat if type(value) in (int, float)}


def _same_number(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9) or (math.isnan(one) and math.isnan(other))


def _short(md5: str | None) -> str:
    return "nothing" if md5 is None else md5[:_SHOWN]
