"""One execution of a stage: its inputs and outputs, its state to resume from, its history and its MLflow run."""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline import group
from pipeline.errors import PipelineError
from pipeline.params.dotted import DottedParams, declared
from pipeline.params.endpoint import EngineServer
from pipeline.params.judge import JudgeEndpoint
from pipeline.params.loading import flatten
from pipeline.params.schema import Params
from pipeline.project.cache_links import check_cache
from pipeline.project.graph import StageDeclaration
from pipeline.project.hashing import content_hash, folder_hash
from pipeline.project.home import project_home
from pipeline.project.provenance import code_tags, environment_tags, experiment_tags
from pipeline.results.comparison import Comparison
from pipeline.resume import FollowedResume, Resume, held_key, resume_key
from pipeline.stage.announcement import announcement
from pipeline.stage.costs import CostMeter, record_costs
from pipeline.stage.history import History
from pipeline.stage.outputs import StagedOutputs, require_disk_space
from pipeline.stage.policy_report import EVALUATIONS, PolicyReport, best_policy, evaluated_policies
from pipeline.tracking.experiments import policies_experiment, stages_experiment
from pipeline.tracking.journal import milliseconds
from pipeline.tracking.tracker import RunTracker

if TYPE_CHECKING:
    from pipeline.models.compute import Compute

OpenT = TypeVar("OpenT")


class Released(Exception):
    """A process that has shared the work of a stage leaves the rest to the first."""


class Stage:
    """One execution of one stage, handed to the script's `main`.

    Of several processes that work on it the first has the outputs, the history, the state to resume from, the costs
    and the run. What the others write goes to a folder beside the state, which goes with it; what they log, nowhere.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        params: Params,
        declaration: StageDeclaration,
        place: Mapping[str, str],
    ) -> None:
        self.name = name
        self.place = place
        self.root = root
        self.home = project_home(root)
        self._apart = self.home != root.resolve()
        self.params = params
        self.declaration = declaration
        self.costs = CostMeter()
        self.tracker = RunTracker(params.tracking, root)
        self.device = "cpu"
        # set by `begin`, which knows whether there is a state to resume from
        self.resume: Resume
        # for the statement of provenance: values by dotted key, DVC's content hashes by path
        self.declared_params: DottedParams = {}
        self.input_hashes: dict[str, str] = {}
        self._locks = ExitStack()
        self._outputs: StagedOutputs
        self._history: History
        self._policy: PolicyReport | None = None

    def input(self, path: str) -> Path:
        """A declared input, checked to be there.

        Raises:
            PipelineError: dvc.yaml does not declare it, or it is missing.
        """
        if not any(Path(path).is_relative_to(dep) for dep in self.declaration.data_deps):
            raise PipelineError(f"dvc.yaml declares no dependency for {path!r} in stage {self.name}")
        if not (self.root / path).exists():
            raise PipelineError(f"{path}: missing input of stage {self.name}. Run `dvc repro` to build it.")
        return self.root / path

    @property
    def judge_endpoint(self) -> JudgeEndpoint:
        """How a chat judge is reached. It decides no result, so no stage declares it and no run logs it."""
        return self.params.judge.endpoint

    @property
    def engine_server(self) -> EngineServer:
        """Where the server is that samples, if one does; as with `judge_endpoint`, no stage declares it."""
        return self.params.engine

    def keep_open(self, context: AbstractContextManager[OpenT]) -> OpenT:
        """Enter a context that is left when the stage has succeeded or failed."""
        return self._locks.enter_context(context)

    @property
    def verdict_store(self) -> Path:
        """Folder of the replies of chat judges, shared by all stages, executions and experiments."""
        return self.home / ".state" / "verdicts"

    def output(self, path: str) -> Path:
        """Where to write a declared output; it moves into place when the stage has succeeded."""
        return self._outputs.path(path)

    def start_compute(self, *, output_bytes: int = 0) -> "Compute":
        """Device, precision and threads from `runtime`; checks that the output will fit on the disk.

        Args:
            output_bytes: size of the output, counted once: DVC's cache links to it, or is on another disk.

        Raises:
            PipelineError: too little free disk space.
        """
        from pipeline.models.compute import start_compute

        compute = start_compute(self.params.runtime)
        self.device = compute.describe()
        print(f"  device  {self.device}", flush=True)
        require_disk_space(self.root, output_bytes, purpose=f"the output of stage {self.name}")
        return compute

    def only_first_goes_on(self) -> None:
        """All that several processes do together is done: the others leave the script here, and the first goes on.

        Every stage that processes share calls it before it writes: weights of the others would be copies for nobody.

        Raises:
            Released: in the others, which end.
        """
        group.from_first(lambda: None)  # the others still read the state that publishing removes
        if not group.is_first():
            raise Released

    def log_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """One line of the training history, and the same metrics to MLflow."""
        if not group.is_first():
            return
        now = milliseconds()
        logged = self._history.was_logged(step)
        # the history first: after a kill in between, the next execution sends its rows to the tracker
        self._history.add(step, metrics, at=now)
        if not logged:
            self.tracker.log(metrics, step=step, at=now)

    def write_history(self, path: str) -> None:
        """Write the training history as JSON Lines."""
        # a blank line where there were no steps, because DVC warns of empty files
        self.output(path).write_text(self._history.as_text() or "\n")

    def write_json(self, path: str, value: Any) -> None:
        """Write a JSON output with sorted keys."""
        self.output(path).write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")

    def report_policies(self, comparison: Comparison, paths: Sequence[str]) -> None:
        """Log outputs to this run and to that of every evaluated policy, and make the best policy the candidate."""
        evaluated = evaluated_policies(self.root)
        for folder in ("run", "policies"):
            self.tracker.keep({f"{folder}/{Path(path).name}": self.output(path) for path in paths})
        self.tracker.tell("attach", wrote=evaluated, folder="policies")
        if (best := best_policy(comparison, evaluated)) is not None:
            self.tracker.tell("candidate", registered=self.params.tracking.experiment, **best)

    def log_final(self, metrics: Mapping[str, Any]) -> None:
        """Log final metrics to MLflow; nested mappings get dotted names, lists are left out.

        An evaluation of a policy logs them when it has succeeded, to the run by which policies are compared.
        """
        if self._policy is not None:
            self._policy.metrics = dict(metrics)
            return
        self.tracker.log({f"final.{key}": value for key, value in flatten(metrics).items() if _is_number(value)})

    def begin(self) -> None:
        """Announce the stage, check its inputs, and open its MLflow run."""
        deps = self.declaration.data_deps
        missing = [dep.as_posix() for dep in deps if not (self.root / dep).exists()]
        if missing:
            raise PipelineError(f"missing input of stage {self.name}: {', '.join(missing)}. Run `dvc repro`.")
        (self._open if group.size() == 1 else self._begin_together)()

    def _begin_together(self) -> None:
        """The first process begins; the others follow with the state that it has found."""
        from pipeline.models.compute import choose_device

        group.join(on_cpu=choose_device(self.params.runtime.device) == "cpu")
        if group.is_first():
            self._open()
        folder, parts = group.from_first(lambda: self.resume.found_parts())
        if group.is_first():
            return
        self.resume = FollowedResume(Path(folder), parts)
        own = Path(folder) / f"process-{group.rank()}"  # goes with the state, however this process ends
        self._outputs = StagedOutputs(self.root, own / "outputs", self.declaration.outs)
        self._history = History(own / "history.jsonl", self.costs)

    def _open(self) -> None:
        deps = self.declaration.data_deps
        check_cache(self.root, self.home)
        print(announcement(self.name, self.declaration, self.root), flush=True)
        chosen = declared(self.declaration.params, flatten(self.params.model_dump()))
        hashes = {dep: content_hash(self.root / dep) for dep in [*deps, *self.declaration.code_deps]}
        if self.name.partition("@")[0] in EVALUATIONS:
            inputs = {dep.as_posix(): hashes[dep] for dep in deps}
            self._policy = PolicyReport(self.root, self.home, self.place, inputs, self.params.tracking.experiment)
        self.declared_params = chosen
        self.input_hashes = {dep.as_posix(): digest for dep, digest in hashes.items()}
        tags = {"stage": self.name, "stage.kind": self.name.partition("@")[0], **self.place}
        tags |= code_tags(self.root) | experiment_tags()
        code = {dep.as_posix(): hashes[dep] for dep in self.declaration.code_deps}
        tags |= {f"dvc.dep/{dep.as_posix()}": hashes[dep] for dep in deps} | environment_tags()
        tags["dvc.code"] = folder_hash(code)
        saving = self.params.resume
        key = resume_key({"params": chosen, "inputs": self.input_hashes, "environment": environment_tags()})
        key = self._locks.enter_context(held_key(self.home, self.name, key))
        # an experiment in a folder of its own must not remove the states of others
        self.resume = Resume(
            self.home,
            self.name,
            key,
            every_steps=saving.every_steps,
            max_share=saving.max_share,
            keep_others=self._apart,
        )
        if self.resume.found:
            print("  resumes from the state that an earlier execution left", flush=True)
        else:
            self.resume.clear()
        scratch = self.resume.folder / "outputs"
        self._outputs = StagedOutputs(self.root, scratch, self.declaration.outs, keep=self.resume.found)
        self._history = History(self.resume.folder / "history.jsonl", self.costs)
        run = self._open_run(chosen, tags)
        if run is not None:
            self.resume.write_note("run", run)
        self.tracker.keep({"run/code.json": json.dumps(code, indent=1)})
        for step, at, metrics in self._history.earlier():
            self.tracker.log(metrics, step=step, at=at)

    def _open_run(self, params: DottedParams, tags: Mapping[str, str]) -> str | None:
        continues = self.resume.read_note("run")
        if self._policy is None:
            where = stages_experiment(self.params.tracking.experiment)
            return self.tracker.start(self.name, params=params, tags=tags, continues=continues, experiment=where)
        every = self._policy.params(params)
        run = self.tracker.start(
            self._policy.name(every, tags.get("DVC_EXP_NAME")),
            params=every,
            tags={**tags, **self._policy.tags()},
            continues=continues,
            experiment=policies_experiment(self.params.tracking.experiment),
        )
        self._policy.tell_inputs(self.tracker)
        return run

    def succeed(self) -> None:
        """Publish the outputs and close the run with their hashes and costs."""
        if group.is_first():
            self._publish()
        self._locks.close()

    def _publish(self) -> None:
        # first, because once some outputs have moved, the stage cannot be resumed from this state
        self.resume.clear(keep=self.resume.folder / "outputs")
        self._outputs.publish()
        self.resume.discard()
        outs = {out.as_posix(): content_hash(self.root / out) for out in self.declaration.outs}
        costs = self.costs.measure(self.device)
        # in the project's folder: that of an experiment is removed when it ends
        record_costs(self.home, self.name, costs, outs=outs)
        self.tracker.tag({**{f"dvc.out/{path}": digest for path, digest in outs.items()}, "device": self.device})
        if self._policy is not None:
            self._policy.tell_results(self.tracker)  # before the costs, see `policy_metrics`
        self.tracker.log({f"cost.{key}": value for key, value in costs.items() if isinstance(value, float)})
        self.tracker.tell("files", folder="run")
        self.tracker.finish(succeeded=True)

    def fail(self) -> None:
        """Mark the run failed. What the stage wrote stays with its state if it can be resumed, else in `.state/failed`.

        DVC keeps no outputs of a failed stage, but they may show why it failed, as a quarantine file does.
        """
        if group.is_first() and hasattr(self, "_outputs") and not self.resume.found:
            folder = self.home / ".state" / "failed"
            kept = self._outputs.set_aside((folder / self.root.name if self._apart else folder) / self.name)
            if kept is not None:
                print(f"what the stage had written is in {kept.relative_to(self.home)}", file=sys.stderr)
        if group.is_first():
            self.tracker.finish(succeeded=False)
        self._locks.close()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
