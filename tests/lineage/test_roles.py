"""What a stage did with the rows of a file: trained on them, measured with them, or handed them on."""

import pytest
from ruamel.yaml import YAML

from pipeline.errors import PipelineError
from pipeline.lineage import roles
from tests.conftest import ROOT
from tests.lineage.by_hand import stage

TRAIN, VALIDATION, TEST = (f"artifacts/preferences/accepted/{split}.jsonl" for split in ("train", "validation", "test"))
LABELS = "artifacts/data/labels/train.jsonl"


def test_a_stage_trains_on_the_files_of_its_table_that_it_reads() -> None:
    reward = stage("train_reward", ["artifacts/preferences/accepted"])
    assert roles.trained_files(reward, [TRAIN, VALIDATION, TEST]) == [TRAIN]
    assert roles.measured_files(reward, [TRAIN, VALIDATION, TEST]) == [VALIDATION]
    assert roles.trained_files(stage("train_reward", ["artifacts/sft"]), [TRAIN]) == [], "it has not read it"
    assert roles.trained_files(stage("write_report", ["artifacts/preferences/accepted"]), [TRAIN]) == []


@pytest.mark.parametrize(("params", "trained"), [({}, [TRAIN]), ({"models.reward_backbone.is_reward_model": True}, [])])
def test_a_finished_reward_model_was_trained_on_nothing(params: dict[str, bool], trained: list[str]) -> None:
    assert roles.trained_files(stage("train_reward", [TRAIN], params=params), [TRAIN]) == trained


@pytest.mark.parametrize(("kind", "trained"), [("classifier", [LABELS]), ("chat", []), ("reward_model", [])])
def test_a_judge_that_is_no_classifier_was_fitted_to_nothing(kind: str, trained: list[str]) -> None:
    assert roles.trained_files(stage("fit_judge", [LABELS], params={"judge.kind": kind}), [LABELS]) == trained


def test_parameters_of_other_stages_change_no_role() -> None:
    params = {"models.reward_backbone.is_reward_model": True, "judge.kind": "chat"}
    pairs = "artifacts/inputs/dpo/pairs.jsonl"
    assert roles.trained_files(stage("optimize_policy@dpo-0", [pairs], params=params), [pairs]) == [pairs]


def test_a_stage_of_one_seed_did_nothing_with_the_rows_of_another() -> None:
    one, other = (f"artifacts/inputs/hybrid/seed-{seed}/prompts.jsonl" for seed in (1, 11))
    optimise = stage("optimize_policy@hybrid-1", ["artifacts/inputs/hybrid"])
    assert roles.trained_files(optimise, [one, other]) == [one]
    assert roles.trained_files(stage("optimize_policy@hybrid-11", ["artifacts/inputs/hybrid"]), [one, other]) == [other]


def test_a_stage_measures_what_its_table_says_and_otherwise_what_it_writes() -> None:
    policy, selected, sft = "artifacts/training/dpo/seed-0", "artifacts/policies/dpo/seed-0", "artifacts/sft"
    assert roles.subjects(stage("train_sft", [LABELS], [sft, "reports/sft.json"])) == [sft]
    assert roles.subjects(stage("evaluate_policy@dpo-0", [sft, selected], ["reports/policies/dpo"])) == [selected]
    assert roles.subjects(stage("select_checkpoint@dpo-0", [policy, sft], [selected])) == [policy, selected]
    assert roles.subjects(stage("evaluate_sft", [sft], ["reports/policies/sft"])) == [sft]


def test_the_checkpoint_that_was_selected_is_a_copy_and_no_other_model_is() -> None:
    policy, selected = "artifacts/training/ppo/seed-2", "artifacts/policies/ppo/seed-2"
    assert roles.originals(stage("select_checkpoint@ppo-2", [policy], [selected])) == [policy]
    assert roles.originals(stage("optimize_policy@ppo-2", ["artifacts/sft"], [policy])) == []


def test_rows_are_handed_on_by_stages_of_data_alone() -> None:
    assert roles.hands_on(stage("score_reference")) and not roles.hands_on(stage("find_regressions@0"))


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("artifacts/sft", True),
        ("artifacts/sft_2", False),
        ("artifacts/training/dpo/seed-0", True),
        ("artifacts/judge", True),
        ("artifacts/judge/model", False),
        ("artifacts/models/policy", False),
    ],
)
def test_a_checkpoint_is_a_whole_path_or_lies_in_a_folder_of_them(path: str, is_one: bool) -> None:
    assert roles.is_checkpoint(path) == is_one


@pytest.mark.parametrize("table", [roles.TRAINS, roles.MEASURES], ids=["trains", "measures"])
def test_every_role_is_of_a_file_that_the_stage_reads(table: dict[str, tuple[str, ...]]) -> None:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    for name, patterns in table.items():
        deps = [str(dep).replace("${item.method}", "*").replace("${item.seed}", "*") for dep in stages[name]["deps"]]
        for pattern in patterns:
            assert any(pattern.startswith(dep.rstrip("*")) for dep in deps), (name, pattern)


def test_models_are_those_that_the_stages_write() -> None:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    outs = [
        str(next(iter(out)) if isinstance(out, dict) else out) for stage in stages.values() for out in stage["outs"]
    ]
    for prefix in roles.CHECKPOINTS:
        assert any(out.startswith(prefix) for out in outs), prefix
    for name, prefixes in roles.SUBJECTS.items():
        assert all(any(dep.startswith(prefix) for dep in stages[name]["deps"]) for prefix in prefixes), name


def test_stages_from_before_the_folders_were_renamed_are_refused() -> None:
    select = stage("select_checkpoint@dpo-0", ["artifacts/policies/dpo/seed-0"], ["artifacts/selected/dpo/seed-0"])
    with pytest.raises(PipelineError, match=r"artifacts/selected to artifacts/policies.*git worktree add"):
        roles.check_names([stage("train_sft"), select])
    roles.check_names([stage("select_checkpoint@dpo-0", writes=["artifacts/policies/dpo/seed-0"])])
