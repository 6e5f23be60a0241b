"""What each stage does with the rows of a file: it trains on them, measures with them, or hands them on.

Written by hand, because no other file says it; a stage that is not named here hands on what it reads. A test compares
every entry with dvc.yaml.
"""

from collections.abc import Iterable
from fnmatch import fnmatch

from pipeline.errors import PipelineError
from pipeline.project.lockfile import StageRecord

TRAINS = {
    "fit_judge": ("artifacts/data/labels/train.jsonl",),
    "train_sft": ("artifacts/data/texts/train.jsonl",),
    "train_reward": ("artifacts/preferences/accepted/train.jsonl",),
    "optimize_policy": ("artifacts/inputs/*/pairs.jsonl", "artifacts/inputs/*prompts.jsonl"),
}
"""Files on whose rows a stage trains."""
MEASURES = {
    "fit_judge": ("artifacts/data/labels/test.jsonl",),
    "train_sft": ("artifacts/data/texts/validation.jsonl",),
    "train_reward": ("artifacts/preferences/accepted/validation.jsonl",),
    "optimize_policy": ("artifacts/inputs/*/validation.jsonl",),
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
"""Files with whose rows a stage measures or selects models."""
SUBJECTS = {
    "evaluate_reward": ("artifacts/reward_model", "artifacts/models/reward_candidates"),
    "select_checkpoint": ("artifacts/training/",),
    "find_regressions": ("artifacts/policies/",),
    "evaluate_sft": ("artifacts/sft",),
    "evaluate_policy": ("artifacts/policies/", "artifacts/training/"),
}
"""The inputs that a stage measures; a stage that is not named here measures what it writes."""
HANDS_ON = ("prepare_data", "collect_preferences", "validate_preferences", "score_reference")
"""Stages that write rows, each of which names by id the rows from which it was made."""
COPIES = ("select_checkpoint",)
"""Stages that write a copy of a model that they read; what trained the original trained the copy."""
CHECKPOINTS = (
    "artifacts/judge",
    "artifacts/evaluation_judge",
    "artifacts/sft",
    "artifacts/reward_model",
    "artifacts/training/",
    "artifacts/policies/",
)
"""Models that the pipeline makes: paths, or, with a slash at the end, folders of models."""


def check_names(stages: Iterable[StageRecord]) -> None:
    """The folders of these stages of a dvc.lock are called as they are here.

    Raises:
        PipelineError: it is from before artifacts/selected became artifacts/policies.
    """
    if any(out.path.startswith("artifacts/selected/") for stage in stages for out in stage.outputs):
        raise PipelineError(
            "this dvc.lock is from before the policies to use moved from artifacts/selected to artifacts/policies, and "
            "what training wrote from there to artifacts/training: the same names mean other things in it. Audit it "
            "with the code of its own commit: git worktree add ../then COMMIT, and in that folder the same command."
        )


def trained_files(stage: StageRecord, files: Iterable[str]) -> list[str]:
    """Of these files, those that the stage trains on."""
    # a finished reward model and a third-party judge are not trained
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
    """Whether all that a stage makes from a row are rows that name its id."""
    return _kind(stage) in HANDS_ON


def is_checkpoint(path: str) -> bool:
    """Whether a path is a model that the pipeline made."""
    return any(path.startswith(name) if name.endswith("/") else path == name for name in CHECKPOINTS)


def _matching(stage: StageRecord, files: Iterable[str], table: dict[str, tuple[str, ...]]) -> list[str]:
    patterns = table.get(_kind(stage), ())
    read = [file for file in files if any(dep.covers(file) for dep in stage.inputs)]
    own = [file for file in read if not _of_another_seed(stage, file)]
    return [file for file in own if any(fnmatch(file, pattern) for pattern in patterns)]


def _of_another_seed(stage: StageRecord, file: str) -> bool:
    """Whether a file belongs to another seed: stages of hybrid depend on a folder with the files of all seeds."""
    seeds = [part.removeprefix("seed-") for part in file.split("/") if part.startswith("seed-")]
    _, _, axes = stage.name.partition("@")
    return bool(axes) and any(seed != axes.rpartition("-")[2] for seed in seeds)


def _kind(stage: StageRecord) -> str:
    return stage.name.partition("@")[0]
