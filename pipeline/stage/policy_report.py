"""What the evaluation of a policy logs to MLflow beside metrics: lineage, datasets, checkpoint, samples, costs."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from pipeline.errors import PipelineError
from pipeline.params.dotted import DottedParams
from pipeline.project.defaults import committed_defaults
from pipeline.project.graph import cache_folder
from pipeline.project.lockfile import Lock, StageRecord, workspace_lock
from pipeline.results.comparison import ComparedMethod, Comparison
from pipeline.stage.costs import known_costs
from pipeline.tracking.policy_run import Behind, StageBehind, behind, curve, policy_metrics, policy_name
from pipeline.tracking.store import NOTE, SAMPLES
from pipeline.tracking.tracker import RunTracker

EVALUATIONS = ("evaluate_sft", "evaluate_policy")
"""Stages of which each run is that of one policy."""
_CONTEXTS = {"train": "training", "validation": "validation", "test": "test", "evaluation": "test"}
_DATA = ("artifacts/data/", "artifacts/preferences/accepted/")
_EVALUATION_PROMPTS = "artifacts/data/prompts/evaluation.jsonl"
_SOURCES = "reports/data/sources.json"
_EMPTY = [hashlib.md5(content, usedforsecurity=False).hexdigest() for content in (b"", b"\n")]
"""DVC's hashes of files without rows, such as votes where there are none: without a byte, and of a blank line."""
_FIRST_COLUMNS = ("prompt", "response", "judge_score", "reward_score")
"""First columns of the table of samples. The UI compares runs by the second column, for each value of the first."""
_TAG_LENGTH = 5000


def evaluated_policies(root: Path) -> dict[str, str]:
    """Sample files of the evaluated policies in dvc.lock, with their content hashes, by which their runs are found."""
    try:
        lock = workspace_lock(root)
    except PipelineError:
        return {}
    written = [
        out for stage in lock.stages.values() if stage.name.partition("@")[0] in EVALUATIONS for out in stage.outputs
    ]
    return {out.path: out.md5 for out in written if out.path.endswith("/samples.jsonl")}


_NO_OBJECTION = ("second_judge_below_minimum",)
"""Flags about a judge that are no objection to a policy."""


class Candidate(TypedDict):
    """The policy that is the best so far, as the tracker is told of it."""

    wrote: dict[str, str]
    """Its sample file with the content hash, by which its run is found."""
    flags: dict[str, str]
    """Objections to it by code, each with its message."""


class LoggedDataset(TypedDict):
    """A dataset of a run in MLflow."""

    name: str
    digest: str
    source: str
    context: str
    """What it was used for: training, validation, test, or source."""
    rows: NotRequired[int | None]


def best_policy(comparison: Comparison, evaluated: Mapping[str, str]) -> Candidate | None:
    """The method with the largest gain over all seeds; None where there is none, or dvc.lock does not know it.

    One seed represents a method; flags about its other seeds say nothing of this checkpoint and are left out.

    Args:
        evaluated: see `evaluated_policies`.
    """
    methods = {name: entry for name, entry in comparison.policies.items() if isinstance(entry, ComparedMethod)}
    if not methods:
        return None
    judge = next(kind for kind, entry in comparison.judges.items() if entry.role == "first")
    best = max(methods, key=lambda name: methods[name].gains[judge].mean)
    seed = methods[best].seed
    samples = f"reports/policies/{best}/seed-{seed}/samples.jsonl"
    # a defect of the judge affects every gain
    own = [flag for flag in comparison.flags if flag.policy == best and flag.seed in (None, seed)]
    about = own + [flag for flag in comparison.flags if flag.subject == "judge"]
    flags = {flag.code: flag.message for flag in about if flag.code not in _NO_OBJECTION}
    return Candidate(wrote={samples: evaluated[samples]}, flags=flags) if samples in evaluated else None


class PolicyReport:
    """One evaluation: method and seed in `place`, or the SFT policy where that is empty."""

    def __init__(
        self, root: Path, home: Path, place: Mapping[str, str], inputs: Mapping[str, str], registered: str
    ) -> None:
        """Report on the evaluation that runs in `root`.

        Args:
            registered: the name of the model of which the checkpoint becomes a version.
            root: where the pipeline runs; `home` is the project, another folder in an experiment apart.
            place: of the stage in its matrix.
            inputs: content hash of each input that is no code.
        """
        self._root = root
        self._home = home
        self._place = place
        self._inputs = inputs
        self._registered = registered
        self.metrics: dict[str, Any] = {}

    @property
    def _folder(self) -> str:
        return f"{self._place['method']}/seed-{self._place['seed']}" if self._place else "sft"

    @property
    def _checkpoint(self) -> str:
        return f"artifacts/policies/{self._folder}" if self._place else "artifacts/sft"

    @cached_property
    def _lock(self) -> Lock | None:
        try:
            return workspace_lock(self._root)
        except PipelineError:  # a stage that is run by hand in a project that never ran
            return None

    @cached_property
    def _behind(self) -> Behind:
        if self._lock is None:
            return Behind({}, tuple(self._inputs))
        return behind(cache_folder(self._root), self._lock, self._inputs)

    def params(self, own: DottedParams) -> DottedParams:
        """Parameters of all stages behind the policy, and those of its evaluation."""
        return {**self._behind.params(), **own}

    def name(self, params: DottedParams, experiment: str | None) -> str:
        """The name of the run."""
        return policy_name(self._place, params, committed_defaults(self._root), experiment)

    def tags(self) -> dict[str, str]:
        """Tags of the run: the method, and which inputs have no known origin."""
        breaks = {"lineage.unknown": ", ".join(self._behind.breaks)[:_TAG_LENGTH]} if self._behind.breaks else {}
        return {"policy": self._place.get("method", "sft"), **breaks}

    def tell_inputs(self, tracker: RunTracker) -> None:
        """Log the datasets, and the stages from which the policy comes."""
        if datasets := list(self._datasets()):
            tracker.tell("datasets", datasets=datasets)
        costs = known_costs(self._home)
        stages: dict[str, StageBehind] = {}
        for name, stage in self._behind.stages.items():
            outs = {out.path: out.md5 for out in stage.outputs}
            known = costs.of(name, outs)
            stages[name] = StageBehind(outs=outs, seconds=None if known is None else known.get("seconds"))
        tracker.tell("lineage", stages=stages)

    def _datasets(self) -> Iterator[LoggedDataset]:
        read = {dep.path: dep.md5 for stage in self._behind.stages.values() for dep in stage.inputs} | dict(
            self._inputs
        )
        for path, md5 in sorted(read.items()):
            if path.endswith(".jsonl") and path.startswith(_DATA) and md5 not in _EMPTY:
                context = _CONTEXTS.get(Path(path).stem, "training")
                yield LoggedDataset(name=path, digest=md5, source=path, context=context)
        yield from self._sources()

    def _sources(self) -> Iterator[LoggedDataset]:
        """Raw files with the hash that prepare_data recorded; data sets on a hub have none and are left out."""
        report = self._root / _SOURCES
        if "prepare_data" not in self._behind.stages or not report.is_file():
            return
        for source in json.loads(report.read_text())["sources"]:
            if source.get("md5") is not None:
                yield LoggedDataset(
                    name=source["file"],
                    digest=source["md5"],
                    source=source["file"],
                    context="source",
                    rows=source.get("rows"),
                )

    def tell_results(self, tracker: RunTracker) -> None:
        """Log results, costs, training curves, the checkpoint with its scores, and files worth opening."""
        results = policy_metrics(self.metrics)
        tracker.log({**results, **self._costs()})
        for history in self._histories():
            for step, values in curve(history):
                tracker.log(values, step=step)
        digest = self._inputs.get(_EVALUATION_PROMPTS)
        headlines = {key: value for key, value in results.items() if "/" not in key}
        if digest is not None:
            registered = self._registered if self._place else None  # SFT is what the others are measured against
            tracker.tell("model", model=self._model(headlines, digest), registered=registered)
        tracker.keep({f"run/{name}": content for name, content in self._files().items()})
        tracker.tag({"mlflow.loggedArtifacts": json.dumps([{"path": SAMPLES, "type": "table"}])})
        tracker.tell("files", folder="run")

    def _costs(self) -> dict[str, float]:
        """Costs of the stages behind the policy: `cost/STAGE.seconds`, their sum, and the largest peak of memory."""
        known = known_costs(self._home)
        found: dict[str, float] = {}
        seconds, peak = 0.0, 0.0
        for name, stage in self._behind.stages.items():
            costs = known.of(name, {out.path: out.md5 for out in stage.outputs})
            if costs:
                found[f"cost/{name.partition('@')[0]}.seconds"] = costs["seconds"]
                seconds, peak = seconds + costs["seconds"], max(peak, costs["peak_memory_mib"])
        return found | {"cost/all_stages.seconds": seconds, "cost/largest_peak_memory_mib": peak} if found else {}

    def _histories(self) -> Iterator[Path]:
        for stage in self._behind.stages.values():
            if self._trained(stage):
                yield from (self._root / out.path for out in stage.outputs if out.path.startswith("reports/training/"))

    def _trained(self, stage: StageRecord) -> bool:
        return any(
            out.path == f"artifacts/training/{self._folder}" or (out.path == "artifacts/sft" and not self._place)
            for out in stage.outputs
        )

    def _model(self, metrics: Mapping[str, float], digest: str) -> dict[str, Any]:
        md5 = self._inputs.get(self._checkpoint, "")
        note = (
            f"The weights lie in DVC, as `{self._checkpoint}` with the hash `{md5}`: `dvc checkout {self._checkpoint}` "
            "brings them back where `dvc.lock` is the one among the artifacts of the run."
        )
        return {
            "name": self._folder.replace("/", "-"),
            "tags": {"path": self._checkpoint, "dvc.hash": md5, NOTE: note, **self._place},
            "params": {key: str(value)[:500] for key, value in self._behind.params().items()},
            "metrics": dict(metrics),
            "dataset": {"name": _EVALUATION_PROMPTS, "digest": digest},
        }

    def _files(self) -> dict[str, Path | str]:
        rows = [json.loads(line) for line in (self._root / f"reports/policies/{self._folder}/samples.jsonl").open()]
        found = {key for row in rows for key in row}
        columns = [key for key in _FIRST_COLUMNS if key in found] + sorted(found - set(_FIRST_COLUMNS))
        table = {"columns": columns, "data": [[row.get(column) for column in columns] for row in rows]}
        files: dict[str, Path | str] = {SAMPLES: json.dumps(table)}
        files |= {name: self._root / name for name in ("params.yaml", "dvc.lock") if (self._root / name).is_file()}
        return files
