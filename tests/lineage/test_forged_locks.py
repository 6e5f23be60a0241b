"""dvc.lock, params.yaml and the cache are edited until they agree; the runs of MLflow still say what was."""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.lineage.commands import Audit, audit_in
from tests.lineage.conftest import STORE, Project
from tests.lineage.stores import client, logged, logged_whole, relocked, tags, written_again

SFT, DPO, REWARD = "artifacts/sft", "artifacts/training/dpo/seed-0", "reports/reward_model/metrics.json"
TEXTS = "artifacts/data/texts/train.jsonl"


@pytest.fixture
def ran(tracked: Project) -> Project:
    """Two stages read parameters, which params.yaml has, too."""
    tracked.entries["optimize_policy@dpo-0"]["params"]["params.yaml"] = {"optimize.dpo": {"beta": 0.1, "lr": 5e-06}}
    tracked.entries["train_sft"]["params"]["params.yaml"] = {"train_sft": {"epochs": 1, "targets": ["q", "v"]}}
    agree(tracked)
    return tracked


def agree(project: Project) -> None:
    """Make params.yaml what dvc.lock says of each parameter."""
    values: dict[str, Any] = {"tracking": {"uri": f"sqlite:///{STORE}"}, "data": {"source": "data/raw/a.jsonl"}}
    for entry in project.entries.values():
        for key, section in entry["params"]["params.yaml"].items():
            *parents, last = key.split(".")
            place = values
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = section
    YAML().dump(values, project.root / "params.yaml")
    project.lock()


@pytest.fixture
def audit(ran: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Audit]:
    yield audit_in(ran.root, monkeypatch, capsys)


def forge_beta(project: Project, beta: float = 0.3) -> None:
    project.entries["optimize_policy@dpo-0"]["params"]["params.yaml"]["optimize.dpo"]["beta"] = beta
    agree(project)


def test_runs_that_say_the_same_confirm_every_stage(ran: Project, audit: Audit) -> None:
    logged_whole(ran)
    answer = audit("--verify", DPO)
    assert answer.code == 0, answer.said
    assert "7 of 7 stages are as their runs in MLflow say" in answer.out
    found = json.loads(audit("--verify", "--json", DPO).out)
    assert found["verified"] and found["runs"]["unconfirmed"] == {} and len(found["runs"]["confirmed"]) == 7


def test_a_forged_parameter_is_named_with_both_values_the_run_and_what_to_do(ran: Project, audit: Audit) -> None:
    run = logged_whole(ran)["optimize_policy@dpo-0"]
    forge_beta(ran)
    answer = audit("--verify", DPO)
    assert answer.code == 1
    (line,) = answer.out.splitlines()
    for words in (
        "optimize_policy@dpo-0: ", "optimize.dpo.beta is 0.3 in dvc.lock and 0.1 in the run", run,
        "`git checkout dvc.lock params.yaml`", "`dvc repro --force --single-item optimize_policy@dpo-0`",
    ):  # fmt: skip
        assert words in line
    assert "optimize.dpo.lr" not in line


def test_the_tree_says_it_with_the_run(ran: Project, audit: Audit) -> None:
    run = logged_whole(ran)["optimize_policy@dpo-0"]
    assert "says it had another" not in audit(DPO).said
    forge_beta(ran)
    assert f"{run}, says it had another optimize.dpo.beta than dvc.lock has" in audit(DPO).said


def test_the_parameters_of_a_stage_further_up_are_compared_too(ran: Project, audit: Audit) -> None:
    logged_whole(ran)
    ran.entries["train_sft"]["params"]["params.yaml"]["train_sft"]["targets"] = ["q"]
    agree(ran)
    answer = audit("--verify", DPO)
    assert answer.code == 1 and "train_sft.targets is ['q'] in dvc.lock and ['q', 'v'] in the run" in answer.out


def test_a_deleted_run_still_says_what_it_logged(ran: Project, audit: Audit) -> None:
    run = logged_whole(ran)["optimize_policy@dpo-0"]
    client(ran).delete_run(run)
    assert audit("--verify", DPO).code == 0
    forge_beta(ran)
    answer = audit("--verify", DPO)
    assert answer.code == 1 and f"{run} (deleted in MLflow)" in answer.out


def test_of_several_executions_with_the_same_result_one_that_agrees_is_enough(ran: Project, audit: Audit) -> None:
    """As after a change that had no effect, or an experiment whose outputs another has, too."""
    logged_whole(ran)
    forge_beta(ran)
    logged(ran, "optimize_policy@dpo-0", journal="2000-optimize_policy@dpo-0-2")
    assert audit("--verify", DPO).code == 0


def test_a_copy_of_a_run_with_other_parameters_is_no_excuse(ran: Project, audit: Audit) -> None:
    logged_whole(ran)
    forge_beta(ran)
    logged(ran, "optimize_policy@dpo-0")  # under the name of the first one
    answer = audit("--verify", DPO)
    assert answer.code == 1 and "another run says that it is the same execution" in answer.out


def test_a_run_that_no_stage_logged_confirms_nothing(ran: Project, audit: Audit) -> None:
    logged(ran, journal=None)
    answer = audit("--verify", SFT)
    assert answer.code == 0 and "train_sft: a run in MLflow says that it wrote this version, and no stage" in answer.err
    assert "0 of 2 stages" in answer.out


def test_a_parameter_that_only_one_of_the_two_has_is_named(ran: Project, audit: Audit) -> None:
    logged(ran, params={"train_sft.epochs": "1", "train_sft.seed": "3"})
    answer = audit("--verify", SFT)
    assert answer.code == 1
    assert "train_sft.targets is ['q', 'v'] in dvc.lock and not in the run" in answer.out
    assert "train_sft.seed is not in dvc.lock and 3 in the run" in answer.out


def test_the_run_of_a_policy_also_has_the_parameters_of_what_lies_behind(ran: Project, audit: Audit) -> None:
    logged_whole(ran)
    client(ran).log_param(logged(ran, policy="dpo"), "data.source", "data/raw/a.jsonl")
    assert audit("--verify", SFT).code == 0


def test_without_a_run_it_is_said_and_with_runs_it_fails(ran: Project, audit: Audit) -> None:
    answer = audit("--verify", SFT)
    assert answer.code == 0 and "0 of 2 stages" in answer.out
    assert "train_sft: no run in MLflow says that it wrote this version" in answer.err
    strict = audit("--verify", "--runs", SFT)
    assert strict.code == 1 and "train_sft: no run in MLflow" in strict.out
    logged_whole(ran)
    assert audit("--verify", "--runs", SFT).code == 0


def test_without_a_store_it_is_said_and_with_runs_it_fails(ran: Project, audit: Audit) -> None:
    (ran.root / STORE).unlink()
    answer = audit("--verify", SFT)
    assert answer.code == 0 and "no run was asked" in answer.out and "is not here" in answer.err
    assert audit("--verify", "--runs", SFT).code == 1


def test_runs_that_were_not_sent_yet_are_said(ran: Project, audit: Audit) -> None:
    ran.write(".state/tracking/1000-train_sft-1.jsonl", "{}\n")
    assert "`make sync` sends 1 run that MLflow does not have yet" in audit("--verify", SFT).err


def test_a_forged_metric_is_another_output_than_the_run_wrote(ran: Project, audit: Audit) -> None:
    written_again(ran, REWARD, {"accuracy": 0.7})
    run = logged_whole(ran)["evaluate_reward"]
    written_again(ran, REWARD, {"accuracy": 0.9})
    answer = audit("--verify", REWARD)
    assert answer.code == 1 and f"{REWARD} is " in answer.out and run in answer.out
    assert "of the same inputs, code and parameters" in answer.out


def test_a_forged_metric_whose_hash_the_run_has_too_is_another_than_it_logged(ran: Project, audit: Audit) -> None:
    written_again(ran, REWARD, {"accuracy": 0.7, "models": [1], "own": {"pairs": 3}})
    run = logged_whole(ran)["evaluate_reward"]
    for key, value in {"final.accuracy": 0.7, "final.own.pairs": 3.0}.items():
        client(ran).log_metric(run, key, value)
    assert audit("--verify", REWARD).code == 0
    forged = written_again(ran, REWARD, {"accuracy": 0.9, "models": [1], "own": {"pairs": 3}})
    client(ran).set_tag(run, f"dvc.out/{REWARD}", forged)
    answer = audit("--verify", REWARD)
    assert answer.code == 1
    assert f"final.accuracy is 0.9 in {REWARD} and 0.7 in the run" in answer.out and "pairs" not in answer.out


def test_a_swapped_model_is_another_than_its_run_wrote_and_its_reader_read(ran: Project, audit: Audit) -> None:
    runs = logged_whole(ran)
    before = tags(ran, "optimize_policy@dpo-0")[f"dvc.out/{DPO}"]
    shutil.copy(ran.root / SFT / "model.safetensors", ran.root / DPO / "model.safetensors")
    relocked(ran, DPO, before)
    answer = audit("--verify", "artifacts/policies/dpo/seed-0")
    assert answer.code == 1
    reader, writer = sorted(answer.out.splitlines(), key=lambda line: not line.startswith("select"))
    assert writer.startswith("optimize_policy@dpo-0: ") and runs["optimize_policy@dpo-0"] in writer
    assert f"{DPO} is " in writer and before[:12] in writer
    assert reader.startswith("select_checkpoint@dpo-0: ") and f"it read {DPO}" in reader and before[:12] in reader


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        (f"dvc.dep/{TEXTS}", f"it read {TEXTS} as "),
        ("dvc.code", "the code is another"),
        (f"dvc.out/{SFT}", f"{SFT} is "),
    ],
)
def test_an_edited_tag_is_named(ran: Project, audit: Audit, tag: str, words: str) -> None:
    run = logged_whole(ran)["train_sft"]
    client(ran).set_tag(run, tag, "0" * 32 + (".dir" if tag != f"dvc.dep/{TEXTS}" else ""))
    answer = audit("--verify", SFT)
    assert answer.code == 1 and words in answer.out and run in answer.out


def test_a_run_that_says_it_is_of_another_stage_confirms_nothing(ran: Project, audit: Audit) -> None:
    client(ran).set_tag(logged(ran), "stage", "forged")
    answer = audit("--verify", SFT)
    assert "train_sft: a run in MLflow says that it wrote this version, and" in answer.err and "0 of 2" in answer.out


def test_a_run_of_other_inputs_says_nothing_of_this_version(ran: Project, audit: Audit) -> None:
    """As in the store of one who has run another version, and pulled this one."""
    logged(ran, **{f"dvc.out/{SFT}": "0" * 32 + ".dir", f"dvc.dep/{TEXTS}": "1" * 32})
    answer = audit("--verify", SFT)
    assert answer.code == 0 and "train_sft: no run in MLflow" in answer.err


def test_runs_of_another_experiment_and_of_many_are_found(ran: Project, audit: Audit) -> None:
    run = logged_whole(ran)["optimize_policy@dpo-0"]
    other = client(ran).create_experiment("renamed")
    client(ran).create_run(other, tags=tags(ran, "optimize_policy@dpo-0"))
    client(ran).delete_run(run)
    forge_beta(ran)
    assert audit("--verify", DPO).code == 1
