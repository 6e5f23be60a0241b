"""Everything the report is made from, read from reports/ and checked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from pipeline.errors import PipelineError
from pipeline.params.optimize import Optimize
from pipeline.results.checkpoints import Checkpoints
from pipeline.results.document import Document
from pipeline.results.judges import JudgeMetrics
from pipeline.results.policies import Frontier, FrontierPoint, PolicyMetrics, Sample, TrainedMetrics
from pipeline.results.preferences import PreferenceDetails, PreferenceSummary
from pipeline.results.reward import Calibration, RewardMetrics
from pipeline.results.sources import Sources

SFT = "sft"
HistoryRow = Mapping[str, float]
D = TypeVar("D", bound=Document)


@dataclass(frozen=True)
class PolicyReport:
    """One policy on the evaluation prompts."""

    name: str
    metrics: PolicyMetrics
    samples: Sequence[Sample]
    frontier: Sequence[FrontierPoint] = ()
    """Best-of-n, on the validation prompts; the SFT policy's alone."""


@dataclass(frozen=True)
class TrainedPolicy(PolicyReport):
    """A method trained with one seed: its selected checkpoint, and all its checkpoints on the validation prompts."""

    metrics: TrainedMetrics
    seed: int = 0
    checkpoints: Checkpoints = field(kw_only=True)
    history: Sequence[HistoryRow] = field(kw_only=True)

    def stage(self, name: str) -> str:
        """Name of a stage that runs for each method and seed."""
        return f"{name}@{self.name}-{self.seed}"


@dataclass(frozen=True)
class ReportInputs:
    """Everything that the page is made from. Costs are left out: they differ between runs with the same results."""

    sft: PolicyReport
    runs: Mapping[str, Sequence[TrainedPolicy]]
    """Every seed's policy, by method in the order of params.yaml."""
    samples_per_step: Mapping[str, int]
    """By method: pairs, or episodes, of one row of its history."""
    max_sampler_kl: Mapping[str, float]
    """By method that samples while it trains: nats per token."""
    plain_reward_loss: bool
    """The reward model's loss is the Bradley-Terry loss alone, which begins near ln 2 with a fresh head."""
    reward_metrics: RewardMetrics
    calibration: Calibration
    stage_histories: Mapping[str, Sequence[HistoryRow]]
    """`train_sft` and `train_reward`: a row of numbers for each step."""
    preferences: PreferenceSummary
    preference_details: PreferenceDetails
    sources: Sources
    judge: JudgeMetrics

    @cached_property
    def trained(self) -> dict[str, TrainedPolicy]:
        """The run that stands for each method: the one with the median judge score, never the best for its score."""
        return {name: median_run(runs) for name, runs in self.runs.items()}

    @cached_property
    def policies(self) -> dict[str, PolicyReport]:
        """sft first, then each method's run in the order of params.yaml."""
        return {SFT: self.sft, **self.trained}

    @cached_property
    def histories(self) -> dict[str, Sequence[HistoryRow]]:
        """A row of numbers for each step of `train_sft`, `train_reward` and each method's run."""
        return {**self.stage_histories, **{name: run.history for name, run in self.trained.items()}}

    @property
    def methods(self) -> list[str]:
        return list(self.runs)

    @property
    def seeds(self) -> list[int]:
        return [run.seed for run in next(iter(self.runs.values()))]


def median_run(runs: Sequence[TrainedPolicy]) -> TrainedPolicy:
    """The run with the median judge score on the evaluation prompts, the lower median of an even number."""
    ranked = sorted(runs, key=lambda run: (run.metrics.judge_score.mean, run.seed))
    return ranked[(len(ranked) - 1) // 2]


def samples_per_step(optimize: Optimize) -> dict[str, int]:
    """By method: pairs, or episodes, of one row of its history."""
    dpo = optimize.dpo
    return {
        "dpo": dpo.per_device_train_batch_size * dpo.gradient_accumulation_steps,
        "ppo": optimize.ppo.rollout_batch_size,
        "hybrid": optimize.hybrid.rollout_batch_size,
    }


def max_sampler_kl(optimize: Optimize) -> dict[str, float]:
    """By method that samples while it trains: how far its sampler may be from the policy, in nats per token."""
    return {"ppo": optimize.ppo.max_sampler_kl, "hybrid": optimize.hybrid.max_sampler_kl}


def load_report_inputs(
    root: Path,
    methods: Sequence[str],
    seeds: Sequence[int],
    samples_per_step: Mapping[str, int],
    max_sampler_kl: Mapping[str, float],
    *,
    plain_reward_loss: bool = True,
) -> ReportInputs:
    """Read the reports of all stages before this one.

    Args:
        root: of the repository; files are read from `root/reports`.
        methods, seeds: of `optimize` in params.yaml.
        samples_per_step: by method, pairs or episodes of one row of its history.
        max_sampler_kl: by method that samples while it trains, nats per token.
        plain_reward_loss: the reward model's loss has neither margins nor centering.

    Raises:
        PipelineError: a file is missing or malformed, or policies were sampled on different prompts.
    """
    reports = root / "reports"
    inputs = ReportInputs(
        sft=_read_sft(reports),
        runs={name: [_read_trained(reports, name, seed) for seed in seeds] for name in methods},
        samples_per_step=samples_per_step,
        max_sampler_kl=max_sampler_kl,
        plain_reward_loss=plain_reward_loss,
        reward_metrics=_read_json(reports / "reward_model" / "metrics.json", RewardMetrics),
        calibration=_read_json(reports / "reward_model" / "calibration.json", Calibration),
        stage_histories={
            name: _read_history(reports / "training" / f"{name}.jsonl") for name in ("train_sft", "train_reward")
        },
        preferences=_read_json(reports / "preferences" / "summary.json", PreferenceSummary),
        preference_details=_read_json(reports / "preferences" / "details.json", PreferenceDetails),
        sources=_read_json(reports / "data" / "sources.json", Sources),
        judge=_read_json(reports / "judge" / "metrics.json", JudgeMetrics),
    )
    _check_same_prompts(inputs, reports)
    return inputs


def _read_sft(reports: Path) -> PolicyReport:
    folder = reports / "policies" / SFT
    return PolicyReport(
        name=SFT,
        metrics=_read_json(folder / "metrics.json", PolicyMetrics),
        samples=_read_samples(folder / "samples.jsonl"),
        frontier=_read_json(folder / "frontier.json", Frontier).points,
    )


def _read_trained(reports: Path, method: str, seed: int) -> TrainedPolicy:
    folder = reports / "policies" / method / f"seed-{seed}"
    checkpoints_file = reports / "checkpoints" / method / f"seed-{seed}.json"
    checkpoints = _read_json(checkpoints_file, Checkpoints)
    steps = [point.step for point in checkpoints.points]
    if steps[0] != 0 or steps != sorted(set(steps)) or checkpoints.selected_step not in steps:
        raise PipelineError(
            f"{checkpoints_file}: points are at steps {steps}; they start with the SFT policy at step 0, ascend, and "
            f"have the selected step {checkpoints.selected_step}. Run select_checkpoint@{method}-{seed} again."
        )
    return TrainedPolicy(
        name=method,
        seed=seed,
        metrics=_read_json(folder / "metrics.json", TrainedMetrics),
        samples=_read_samples(folder / "samples.jsonl"),
        checkpoints=checkpoints,
        history=_read_history(reports / "training" / method / f"seed-{seed}.jsonl"),
    )


def _read_samples(path: Path) -> list[Sample]:
    return [_validate(row, Sample, f"{path}:{line}") for line, row in _read_lines(path)]


def _check_same_prompts(inputs: ReportInputs, reports: Path) -> None:
    expected = [sample.id for sample in inputs.sft.samples]
    for run in (run for runs in inputs.runs.values() for run in runs):
        if [sample.id for sample in run.samples] != expected:
            path = reports / "policies" / run.name / f"seed-{run.seed}" / "samples.jsonl"
            raise PipelineError(
                f"{path}: not the prompts of {SFT}/samples.jsonl in the same order, so samples cannot be compared. "
                f"Run evaluate_{SFT} and {run.stage('evaluate_policy')} again."
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
