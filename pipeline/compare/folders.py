"""Compares the policies of two working folders by method and seed, from their reports and without MLflow."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.compare.comparison import Comparison, Row, compare, param_rows
from pipeline.compare.selection import PolicyRun
from pipeline.errors import PipelineError
from pipeline.params.loading import flatten
from pipeline.report.comparison import flag_subject
from pipeline.report.formats import number
from pipeline.results.comparison import Flag
from pipeline.tracking.measured_with import MeasuredWith
from pipeline.tracking.policy_run import policy_metrics

_POLICIES = Path("reports/policies")
_REPORT = Path("reports/comparison.json")
_BESIDE = {
    "reward model: test pairs right": ("reward_model", "accuracy"),
    "pairs accepted": ("preferences", "accepted"),
}
"""Results of data and reward model, each with its section and key in comparison.json."""


@dataclass(frozen=True)
class Changed:
    """What differs between two folders."""

    params: list[Row]
    policies: dict[str, Comparison]
    """By name such as `dpo seed 0`, the policies that both folders have."""
    beside: list[Row]
    """Results of data and reward model."""
    flags: list[str]
    """Warnings that came or went."""
    remarks: list[str]


@dataclass(frozen=True)
class _Folder:
    policies: dict[str, PolicyRun]
    params: dict[str, str]
    report: Mapping[str, Any]


def compare_folders(base: Path, head: Path) -> Changed:
    """What differs in `head`, after `dvc repro` or `dvc pull` in both folders.

    Raises:
        PipelineError: a folder has no report.
    """
    before, after = _read(base), _read(head)
    both = [name for name in before.policies if name in after.policies]
    compared = {name: compare([before.policies[name], after.policies[name]]) for name in both}
    remarks = [remark for one in compared.values() for remark in one.remarks]
    for side, other, where in ((before, after, "the base"), (after, before, "the change")):
        remarks += [f"only {where} has {name}" for name in side.policies if name not in other.policies]
    return Changed(
        params=param_rows([before.params, after.params]),
        policies=compared,
        beside=[
            Row(name, [_cell(side.report, *place) for side in (before, after)], ["", ""])
            for name, place in _BESIDE.items()
        ],
        flags=_changed_flags(before.report, after.report),
        remarks=remarks,
    )


def same_samples(comparison: Comparison) -> bool:
    """Whether two policies answered the same, prompt by prompt."""
    first, second = comparison.runs
    return bool(first.samples) and first.samples == second.samples


def _read(root: Path) -> _Folder:
    if not (root / _REPORT).is_file():
        raise PipelineError(f"{root / _REPORT}: missing. Run `dvc repro` or `dvc pull` in {root}.")
    params = {key: str(value) for key, value in flatten(YAML(typ="safe").load(root / "params.yaml")).items()}
    files = sorted((root / _POLICIES).rglob("metrics.json"), key=lambda file: (file.parent.name != "sft", file))
    runs = [_policy(root, file, params) for file in files]
    return _Folder({run.name: run for run in runs}, params, json.loads((root / _REPORT).read_text()))


def _policy(root: Path, file: Path, params: Mapping[str, str]) -> PolicyRun:
    name = " ".join(file.parent.relative_to(root / _POLICIES).parts).replace("seed-", "seed ")
    samples = file.with_name("samples.jsonl")
    rows = [json.loads(line) for line in samples.read_text().splitlines()] if samples.is_file() else []
    metrics = policy_metrics(json.loads(file.read_text()))
    measured_with = MeasuredWith(_hashes(root, name), params)
    return PolicyRun("", name, params, metrics, measured_with, {row["id"]: row for row in rows})


def _hashes(root: Path, name: str) -> dict[str, str]:
    """Content hash by path of all outputs, and of what the evaluation of a policy read."""
    lock = root / "dvc.lock"
    stages = YAML(typ="safe").load(lock)["stages"] if lock.is_file() else {}
    evaluation = "evaluate_sft" if name == "sft" else f"evaluate_policy@{name.replace(' seed ', '-')}"
    rows = [row for stage in stages.values() for row in stage.get("outs", [])]
    rows += stages.get(evaluation, {}).get("deps", [])
    return {row["path"]: row["md5"] for row in rows}


def _cell(report: Mapping[str, Any], section: str, key: str) -> str:
    value = report.get(section, {}).get(key)
    if isinstance(value, Mapping):
        return f"{number(value['mean'], 3)} [{number(value['low'], 3)}, {number(value['high'], 3)}]"
    return "–" if value is None else str(value)


def _changed_flags(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    old, new = (
        {(flag_subject(flag), flag.code, flag.message) for flag in map(Flag.model_validate, side["flags"])}
        for side in (before, after)
    )
    came = [f"new: {subject}, {code}: {message}" for subject, code, message in sorted(new - old)]
    return came + [f"gone: {subject}, {code}: {message}" for subject, code, message in sorted(old - new)]
