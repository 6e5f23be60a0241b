"""Everything the report is made from, read from reports/ and checked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from pipeline.errors import PipelineError
from pipeline.report.documents import (
    Calibration,
    Costs,
    Document,
    Frontier,
    FrontierPoint,
    JudgeMetrics,
    PolicyMetrics,
    PreferenceDetails,
    PreferenceSummary,
    RewardMetrics,
    Sample,
    Sources,
    StageCost,
)

SFT = "sft"
HistoryRow = Mapping[str, float]
D = TypeVar("D", bound=Document)


@dataclass(frozen=True)
class PolicyReport:
    """One policy: its metrics, the points on the way to it (for sft: best-of-n), and its samples."""

    name: str
    metrics: PolicyMetrics
    frontier: Sequence[FrontierPoint]
    samples: Sequence[Sample]


@dataclass(frozen=True)
class ReportInputs:
    """All that the report is made from. Only `costs` differs between runs with the same parameters."""

    policies: Mapping[str, PolicyReport]
    """sft first, then the methods in the order of params.yaml."""
    reward_metrics: RewardMetrics
    calibration: Calibration
    histories: Mapping[str, Sequence[HistoryRow]]
    """`train_sft`, `train_reward` and one per method: a row of numbers for each step."""
    preferences: PreferenceSummary
    preference_details: PreferenceDetails
    sources: Sources
    judge: JudgeMetrics
    costs: Mapping[str, StageCost]
    """By stage name; a stage that ran elsewhere or came from a cache is absent."""

    @property
    def sft(self) -> PolicyReport:
        return self.policies[SFT]

    @property
    def methods(self) -> list[str]:
        return [name for name in self.policies if name != SFT]


def load_report_inputs(root: Path, methods: Sequence[str]) -> ReportInputs:
    """Read the reports of all stages before this one.

    Args:
        root: of the repository; files are read from `root/reports`.
        methods: optimisation methods, as in params.yaml.

    Raises:
        PipelineError: a file is missing or malformed, or policies were sampled on different prompts.
    """
    reports = root / "reports"
    policies = {name: _read_policy(reports / "policies" / name, name) for name in [SFT, *methods]}
    _check_same_prompts(policies, reports)
    histories = ["train_sft", "train_reward", *methods]
    costs_file = reports / "costs.json"
    return ReportInputs(
        policies=policies,
        reward_metrics=_read_json(reports / "reward_model" / "metrics.json", RewardMetrics),
        calibration=_read_json(reports / "reward_model" / "calibration.json", Calibration),
        histories={name: _read_history(reports / "training" / f"{name}.jsonl") for name in histories},
        preferences=_read_json(reports / "preferences" / "summary.json", PreferenceSummary),
        preference_details=_read_json(reports / "preferences" / "details.json", PreferenceDetails),
        sources=_read_json(reports / "data" / "sources.json", Sources),
        judge=_read_json(reports / "judge" / "metrics.json", JudgeMetrics),
        costs=_read_json(costs_file, Costs).stages if costs_file.is_file() else {},
    )


def _read_policy(folder: Path, name: str) -> PolicyReport:
    samples_file = folder / "samples.jsonl"
    return PolicyReport(
        name=name,
        metrics=_read_json(folder / "metrics.json", PolicyMetrics),
        frontier=_read_json(folder / "frontier.json", Frontier).points,
        samples=[_validate(row, Sample, f"{samples_file}:{line}") for line, row in _read_lines(samples_file)],
    )


def _check_same_prompts(policies: Mapping[str, PolicyReport], reports: Path) -> None:
    expected = [sample.id for sample in policies[SFT].samples]
    for name, policy in policies.items():
        if [sample.id for sample in policy.samples] != expected:
            raise PipelineError(
                f"{reports / 'policies' / name / 'samples.jsonl'}: not the prompts of {SFT}/samples.jsonl in the "
                f"same order, so samples cannot be compared. Run evaluate_{SFT} and evaluate_policy@{name} again."
            )


def _read_json(path: Path, document: type[D]) -> D:
    return _validate(_parse(_read_text(path), str(path)), document, str(path))


def _read_lines(path: Path) -> list[tuple[int, Any]]:
    """Line numbers from 1 and parsed values of a JSON Lines file, which must have a row."""
    lines = enumerate(_read_text(path).split("\n"), start=1)
    rows = [(number, _parse(line, f"{path}:{number}")) for number, line in lines if line.strip()]
    if not rows:
        raise PipelineError(f"{path}: no rows. Run the stage that writes it again.")
    return rows


def _read_history(path: Path) -> list[dict[str, float]]:
    """Rows of finite numbers; values that are null or not finite are left out of their row."""
    rows = []
    for number, row in _read_lines(path):
        if not isinstance(row, dict) or not isinstance(row.get("step"), int | float):
            raise PipelineError(f"{path}:{number}: expected an object with a step, found {row!r:.80}")
        rows.append({key: float(value) for key, value in row.items() if _is_finite_number(value)})
    return rows


def _is_finite_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < float("inf")


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise PipelineError(f"{path}: no such file. `dvc repro write_report` runs the stages that are missing.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path}: not UTF-8 text: {error}") from error


def _parse(text: str, source: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise PipelineError(f"{source}: not valid JSON: {error}") from error


def _validate(value: Any, document: type[D], source: str) -> D:
    try:
        return document.model_validate(value)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, item['loc'])) or 'top level'}: {item['msg']}" for item in error.errors()]
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise PipelineError(f"{source}: {'; '.join(problems[:3])}{more}") from None
