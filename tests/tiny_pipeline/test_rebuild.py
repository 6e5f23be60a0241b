"""Exactly what changed runs again: changes of every kind against the stages that must rerun because of them.

What follows such a stage reruns when its outputs become others; `dvc status` cannot know that beforehand.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from operator import getitem
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from tests.tiny_pipeline.conftest import dvc
from tests.tiny_project import edit_params

METHODS = ("dpo", "ppo", "hybrid")
OPTIMIZERS = {f"optimize_policy@{method}-0" for method in METHODS}
SELECTORS = {f"select_checkpoint@{method}-0" for method in METHODS}
EVALUATORS = {"evaluate_sft", *(f"evaluate_policy@{method}-0" for method in METHODS)}
JUDGED = {"find_regressions@0", *SELECTORS, *EVALUATORS}
SAMPLERS = {"collect_preferences", "evaluate_reward", *JUDGED}
COMPUTERS = SAMPLERS | OPTIMIZERS | {"fetch_models", "fit_judge", "train_sft", "train_reward", "score_reference"}
# it looks at all that could stop a run before a model is trained, and what it writes is always the same
CHECK = {"check"}
# it tells of all parameters
REPORT = {"write_report"}
# it tells of all parameters, and of all code that models come from
PUBLISH = {"publish_models"}
SEEDED = {"prepare_data", "train_sft", "collect_preferences", "train_reward", *JUDGED}

PARAMETERS: list[tuple[str, Any, set[str]]] = [
    ("seed", 1, {*CHECK, *SEEDED}),
    ("runtime.threads", 2, {*CHECK, *COMPUTERS}),
    ("runtime.merged_sampling", False, {*CHECK, *COMPUTERS}),
    ("sampling.temperature", 0.9, SAMPLERS),
    ("models.policy.dtype", "bfloat16", {*CHECK, "fetch_models"}),
    ("models.reward_backbone.is_reward_model", True, {*CHECK, "fetch_models", "train_reward"}),
    ("data.prompt_words", 5, {*CHECK, "prepare_data"}),
    ("fit_judge.ngram_max", 2, {"fit_judge"}),
    ("judge.kind", "chat", {*CHECK, "fit_judge"}),
    ("judge.chat.rubric", "Prefer short responses.", {*CHECK, "fit_judge"}),
    ("judge.endpoint.base_url", "http://127.0.0.1:8000/v1", set()),
    ("train_sft.learning_rate", 0.1, {"train_sft"}),
    ("train_sft.finetuning.lora_r", 8, {*CHECK, "train_sft"}),
    ("collect_preferences.min_margin", 0.2, {*CHECK, "collect_preferences"}),
    ("validate_preferences.max_length_ratio", 5.0, {*CHECK, "validate_preferences"}),
    ("train_reward.label_smoothing", 0.1, {"train_reward"}),
    ("evaluate_reward.calibration_bins", 5, {"evaluate_reward"}),
    ("evaluate_reward.candidates", [{"name": "bought"}], {*CHECK, "fetch_models", "evaluate_reward"}),
    ("score_reference.max_length", 64, {*CHECK, "score_reference"}),
    ("optimize.dpo.beta", 0.2, {"optimize_policy@dpo-0"}),
    ("optimize.dpo.finetuning.lora_r", 8, {*CHECK, "optimize_policy@dpo-0"}),
    # the reference has the number format of what is trained
    ("optimize.dpo.finetuning.method", "full", {*CHECK, "score_reference", "optimize_policy@dpo-0"}),
    ("optimize.ppo.kl_coef", 0.2, {"optimize_policy@ppo-0"}),
    ("optimize.hybrid.total_episodes", 8, {"optimize_policy@hybrid-0"}),
    ("find_regressions.max_drop", 0.5, {"find_regressions@0"}),
    ("select_checkpoint.select", "last", SELECTORS),
    ("select_checkpoint.prompts", 2, {"evaluate_sft", *SELECTORS}),
    ("evaluate_policy.bootstrap_resamples", 50, EVALUATORS),
    ("write_report.samples_shown", 1, {"write_report"}),
    ("resume.every_steps", 3, set()),
    ("tracking.experiment", "other", set()),
]
# a line in a module that decides results; a comment counts, because DVC compares bytes
MODULES: list[tuple[str, set[str]]] = [
    ("stages/train_sft.py", {"train_sft", *PUBLISH}),
    ("pipeline/training/sft.py", {"train_sft", *PUBLISH}),
    ("pipeline/training/dpo.py", OPTIMIZERS | PUBLISH),
    ("pipeline/scripts/ppo.py", OPTIMIZERS | PUBLISH),
    ("pipeline/objectives/ppo.py", OPTIMIZERS | PUBLISH),
    ("pipeline/objectives/preference.py", {"train_reward", *OPTIMIZERS, *PUBLISH}),
    ("pipeline/judges/text_classifier.py", {"fit_judge", "collect_preferences", *JUDGED, *PUBLISH}),
    ("pipeline/judges/chat.py", {"fit_judge", "collect_preferences", *JUDGED, *PUBLISH}),
    ("pipeline/judges/prompts/rubric-v1.md", {*CHECK, "fit_judge", *PUBLISH}),
    ("pipeline/validation/contract.py", {*CHECK, "validate_preferences", *PUBLISH}),
    ("pipeline/data/preparation.py", {*CHECK, "prepare_data", *PUBLISH}),
    ("pipeline/check/sizes.py", CHECK),
    ("pipeline/report/flags.py", {"write_report"}),
    ("pipeline/evaluation/best_of_n.py", {"evaluate_sft"}),
    ("pipeline/evaluation/checkpoints.py", SELECTORS | PUBLISH),
    ("pipeline/scripts/measuring.py", JUDGED | PUBLISH),
    ("pipeline/release/card.py", PUBLISH),
    # bookkeeping: a better message retrains nothing
    ("pipeline/stage/run.py", set()),
    ("pipeline/stage/execution.py", set()),
    ("pipeline/memory/need.py", set()),
    ("pipeline/params/schema.py", set()),
    ("pipeline/progress.py", set()),
    ("pipeline/resume.py", set()),
    ("pipeline/judges/endpoint.py", set()),
    ("pipeline/lineage/tree.py", set()),
]


FILES: list[tuple[str, set[str]]] = [
    ("data/raw/reviews.csv", {*CHECK, "prepare_data", *PUBLISH}),
    ("data/models/policy/config.json", {*CHECK, "fetch_models", "fit_judge", *PUBLISH}),
    ("requirements-embedded.txt", {*CHECK, "fetch_models", "fit_judge", "prepare_data", *PUBLISH}),
    ("requirements.txt", PUBLISH),
    ("README.md", set()),
]


def status(root: Path) -> dict[str, Any]:
    """What DVC would run now, and why, by stage."""
    with contextlib.chdir(root):  # DVC names stages relative to the working folder
        told: dict[str, Any] = Repo(str(root)).status()
        return told


def outdated(root: Path) -> set[str]:
    """Stages that DVC would run now."""
    return set(status(root))


@contextmanager
def edited(path: Path, edit: Callable[[str], str] = str) -> Iterator[None]:
    before = path.read_bytes() if path.exists() else None
    path.write_text(edit(before.decode() if before is not None else ""))
    try:
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)


@pytest.fixture(scope="module")
def stages_by_parameter(project: Path) -> dict[str, set[str]]:
    """For each parameter the stages that DVC would run because of it: all are changed together, and DVC says why.

    DVC names the key that the stage declares, which may be a section: whoever declares it would run for each of its
    keys, because all have another value than before.
    """
    before = YAML(typ="safe").load(project / "params.yaml")
    for key, value, _ in PARAMETERS:
        usual = reduce(getitem, key.split("."), before)
        assert (value, type(value)) != (usual, type(usual)), f"{key} is {value!r} already"
    with edited(project / "params.yaml"):
        edit_params(project, {key: value for key, value, _ in PARAMETERS})
        told = status(project)
    found: dict[str, set[str]] = {key: set() for key, _, _ in PARAMETERS}
    for stage, reasons in told.items():
        assert all(reason.keys() == {"changed deps"} for reason in reasons), (stage, reasons)
        for reason in reasons:
            assert reason["changed deps"].keys() == {"params.yaml"}, (stage, reason)
            for declared, how in reason["changed deps"]["params.yaml"].items():
                changed = [key for key in found if f"{key}.".startswith(f"{declared}.")]
                assert changed and how == "modified", f"{stage} runs because {declared} is {how}"
                for key in changed:
                    found[key].add(stage)
    return found


@pytest.mark.parametrize(("key", "stages"), [(key, stages) for key, _, stages in PARAMETERS])
def test_a_parameter(stages_by_parameter: dict[str, set[str]], key: str, stages: set[str]) -> None:
    assert stages_by_parameter[key] == (stages | REPORT | PUBLISH if stages - CHECK else stages)


def test_a_further_seed_runs_its_own_stages_only(project: Path) -> None:
    """It adds hybrid's inputs to a folder that the hybrids of all seeds read."""
    with edited(project / "params.yaml"):
        edit_params(project, {"optimize.seeds": [0, 1]})
        stages = ("optimize_policy", "select_checkpoint", "evaluate_policy")
        new = {f"{stage}@{method}-1" for stage in stages for method in METHODS}
        assert outdated(project) == {*CHECK, *new, "find_regressions@1", "write_report", *PUBLISH}


@pytest.mark.parametrize(
    "start",
    ["warm", pytest.param("cold", marks=pytest.mark.slow(beside="test_what_was_checked_makes_nothing_else_run"))],
)
def test_what_was_checked_makes_nothing_else_run(
    project: Path, cold_path: str, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    """The check looks at a parameter again, and passes as before."""
    if start == "cold":  # as `dvc repro` starts it
        monkeypatch.setenv("PATH", cold_path)
    with edited(project / "params.yaml"), edited(project / "dvc.lock"):
        edit_params(project, {"score_reference.max_length": 100})
        assert dvc(project, "repro", "check").returncode == 0
        assert outdated(project) == {"score_reference", *REPORT, *PUBLISH}


def test_a_comment_in_the_parameters(project: Path) -> None:
    with edited(project / "params.yaml", lambda text: f"# a comment\n{text}"):
        assert outdated(project) == set()


@pytest.fixture(scope="module")
def stages_by_file(project: Path) -> dict[str, set[str]]:
    """For each file the stages that DVC would run because of it: all are changed together, and DVC says why."""
    with contextlib.ExitStack() as stack:
        for module, _ in MODULES:
            stack.enter_context(edited(project / module, lambda text: f"{text}\n# a comment\n"))
        for file, _ in FILES:
            stack.enter_context(edited(project / file, lambda text: f"{text}\n"))
        told = status(project)
    found: dict[str, set[str]] = {path: set() for path, _ in [*MODULES, *FILES]}
    for stage, reasons in told.items():
        assert all(reason.keys() == {"changed deps"} for reason in reasons), (stage, reasons)
        for path in {path for reason in reasons for path in reason["changed deps"]}:
            read = [file for file in found if PurePosixPath(file).is_relative_to(path)]
            assert read, f"{stage} runs because of {path}, which nobody changed"
            for file in read:
                found[file].add(stage)
    return found


@pytest.mark.parametrize(("module", "stages"), MODULES, ids=[module for module, _ in MODULES])
def test_a_line_of_code(stages_by_file: dict[str, set[str]], module: str, stages: set[str]) -> None:
    assert stages_by_file[module] == stages


@pytest.mark.parametrize(("file", "stages"), FILES, ids=[file for file, _ in FILES])
def test_a_file(stages_by_file: dict[str, set[str]], file: str, stages: set[str]) -> None:
    assert stages_by_file[file] == stages


def test_the_command_says_the_same(project: Path) -> None:
    with edited(project / "params.yaml"):
        edit_params(project, {"optimize.dpo.beta": 0.2})
        assert set(json.loads(dvc(project, "status", "--json").stdout)) == {
            "optimize_policy@dpo-0",
            *REPORT,
            *PUBLISH,
        }
