"""What a stage does with the rows of a file: it trains on them, it measures with them, or it hands them on.

Kept by hand, because no file says it: a stage that is not here hands on what it reads. A test holds every entry against
dvc.yaml.
"""

from collections.abc import Iterable
from fnmatch import fnmatch

from pipeline.project.lockfile import StageRecord

TRAINS = {
    "fit_judge": ("artifacts/data/labels/train.jsonl",),
    "train_sft": ("artifacts/data/texts/train.jsonl",),
    "train_reward": ("artifacts/preferences/accepted/train.jsonl",),
    "optimize_policy": ("artifacts/inputs/*/pairs.jsonl", "artifacts/inputs/*prompts.jsonl"),
}
"""Files whose rows a stage fits its outputs to."""
MEASURES = {
    "fit_judge": ("artifacts/data/labels/test.jsonl",),
    "train_reward": ("artifacts/preferences/accepted/validation.jsonl",),
    "evaluate_reward": (
        "artifacts/preferences/accepted/test.jsonl",
        "artifacts/preferences/accepted/validation.jsonl",
    ),
    "select_checkpoint": ("artifacts/data/prompts/validation.jsonl",),
    "find_regressions": ("artifacts/data/prompts/train.jsonl",),
    "evaluate_sft": (
        "artifacts/data/prompts/evaluation.jsonl",
        "artifacts/data/prompts/validation.jsonl",
        "artifacts/data/texts/evaluation.jsonl",
    ),
    "evaluate_policy": (
        "artifacts/data/prompts/evaluation.jsonl",
        "artifacts/data/texts/evaluation.jsonl",
        "reports/policies/sft/samples.jsonl",
    ),
}
"""Files whose rows a stage measures or chooses models with."""
SUBJECTS = {
    "evaluate_reward": ("artifacts/reward_model", "artifacts/models/reward_candidates"),
    "select_checkpoint": ("artifacts/policies/",),
    "find_regressions": ("artifacts/selected/",),
    "evaluate_sft": ("artifacts/sft",),
    "evaluate_policy": ("artifacts/selected/", "artifacts/policies/"),
}
"""Which of its inputs a stage measures; where a stage is not here, it measures what it writes."""
HANDS_ON = ("prepare_data", "collect_preferences", "validate_preferences", "score_reference")
"""Stages whose outputs are rows, each made of the rows that it names."""
COPIES = ("select_checkpoint",)
"""Stages whose model is one of those they read, with what it was trained on."""
CHECKPOINTS = (
    "artifacts/judge",
    "artifacts/evaluation_judge",
    "artifacts/sft",
    "artifacts/reward_model",
    "artifacts/policies/",
    "artifacts/selected/",
)
"""Paths, or folders of paths, of models that the pipeline makes."""


def trained_files(stage: StageRecord, files: Iterable[str]) -> list[str]:
    """Of these files, those that the stage trains on."""
    # a finished reward model and a bought judge are taken as they are
    if stage.params.get("models.reward_backbone.is_reward_model") and _kind(stage) == "train_reward":
        return []
    if stage.params.get("judge.kind", "classifier") != "classifier" and _kind(stage) == "fit_judge":
        return []
    return _matching(stage, files, TRAINS)


def measured_files(stage: StageRecord, files: Iterable[str]) -> list[str]:
    """Of these files, those that the stage measures with."""
    return _matching(stage, files, MEASURES)


def subjects(stage: StageRecord) -> list[str]:
    """The models that a stage trains or measures."""
    prefixes = SUBJECTS.get(_kind(stage))
    if prefixes is None:
        return [out.path for out in stage.outputs if is_checkpoint(out.path)]
    chosen = [out.path for out in stage.outputs if is_checkpoint(out.path)]  # what it selects
    return [dep.path for dep in stage.inputs if dep.path.startswith(prefixes)] + chosen


def originals(stage: StageRecord) -> list[str]:
    """The models of which a stage writes a copy."""
    return subjects(stage)[:1] if _kind(stage) in COPIES else []


def hands_on(stage: StageRecord) -> bool:
    """Whether what a stage writes of a row are rows with its id."""
    return _kind(stage) in HANDS_ON


def is_checkpoint(path: str) -> bool:
    """Whether a path is a model of the pipeline's own."""
    return any(path.startswith(name) if name.endswith("/") else path == name for name in CHECKPOINTS)


def _matching(stage: StageRecord, files: Iterable[str], table: dict[str, tuple[str, ...]]) -> list[str]:
    patterns = table.get(_kind(stage), ())
    read = [file for file in files if any(dep.covers(file) for dep in stage.inputs)]
    own = [file for file in read if not _of_another_seed(stage, file)]
    return [file for file in own if any(fnmatch(file, pattern) for pattern in patterns)]


def _of_another_seed(stage: StageRecord, file: str) -> bool:
    """Hybrid's stages read one folder, and in it only what is of their seed."""
    seeds = [part.removeprefix("seed-") for part in file.split("/") if part.startswith("seed-")]
    _, _, place = stage.name.partition("@")
    return bool(place) and any(seed != place.rpartition("-")[2] for seed in seeds)


def _kind(stage: StageRecord) -> str:
    return stage.name.partition("@")[0]
