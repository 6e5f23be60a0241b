"""Finds runs by id, name, alias of the registered model, or DVC experiment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import PipelineError
from pipeline.tracking.measured_with import MeasuredWith
from pipeline.tracking.registry import CANDIDATE, CHAMPION, Registry
from pipeline.tracking.store import Store

_LISTED = 20
_SHORTEST_ID = 4


@dataclass(frozen=True)
class PolicyRun:
    """A run of an evaluated policy."""

    run_id: str
    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    measured_with: MeasuredWith
    samples: Mapping[str, Mapping[str, Any]]
    """The rows of the table of samples, by prompt id; empty where the run keeps none."""


def select(store: Store, experiment: str, texts: Sequence[str]) -> list[PolicyRun]:
    """The runs that the texts name, in the order of the texts.

    Raises:
        PipelineError: a text names no run, or several.
    """
    runs = finished_runs(store, experiment)
    found = []
    for text in texts:
        meant = _meant(store, experiment, runs, text)
        if not meant:
            raise PipelineError(f"{text!r} names no finished run of a policy. These are there:\n{listed(runs)}")
        if len(meant) > 1:
            raise PipelineError(f"{text!r} names {len(meant)} runs; take one by its id:\n{listed(meant)}")
        found.append(_loaded(store, meant[0]))
    return found


def finished_runs(store: Store, experiment: str) -> list[Any]:
    """The finished runs of policies, the newest first; none where the experiment does not exist."""
    known = store.client.get_experiment_by_name(experiment)
    if known is None:
        return []
    query = "attributes.status = 'FINISHED'"
    return list(store.client.search_runs([known.experiment_id], query, order_by=["attributes.start_time DESC"]))


def listed(runs: Sequence[Any]) -> str:
    """A line for each run: id, judge score, name."""
    lines = []
    for run in runs[:_LISTED]:
        score = run.data.metrics.get("judge_score")
        lines.append(f"  {run.info.run_id[:8]}  {'' if score is None else f'{score:.3f}':>6}  {run.info.run_name}")
    more = [f"  and {len(runs) - _LISTED} older ones"] if len(runs) > _LISTED else []
    return "\n".join(lines + more) or "  none; `make repro` makes them"


def _meant(store: Store, experiment: str, runs: Sequence[Any], text: str) -> list[Any]:
    if text in (CANDIDATE, CHAMPION):
        version = Registry(store, experiment).holder(text)
        return [run for run in runs if version is not None and run.info.run_id == version.run_id]
    if by_id := [run for run in runs if len(text) >= _SHORTEST_ID and run.info.run_id.startswith(text)]:
        return by_id
    if by_name := [run for run in runs if run.info.run_name == text]:
        return by_name[:1]  # the newest of equal names
    # nobody types the values of all varied parameters that a name has
    if by_beginning := {run.info.run_name: run for run in reversed(runs) if run.info.run_name.startswith(f"{text} · ")}:
        return list(by_beginning.values())
    named, _, policy = text.partition("/")
    of_experiment = [run for run in runs if run.data.tags.get("DVC_EXP_NAME") == named]
    return [run for run in of_experiment if not policy or run.data.tags.get("policy") == policy]


def _loaded(store: Store, run: Any) -> PolicyRun:
    return PolicyRun(
        run_id=run.info.run_id,
        name=run.info.run_name,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        measured_with=MeasuredWith.of_run(run.data.tags, run.data.params),
        samples=store.samples(run.info.run_id),
    )
