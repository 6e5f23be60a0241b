"""What the runs of a stage say of it: the same, something else, or nothing."""

import json
from dataclasses import replace

import pytest

from pipeline.lineage import testimony as asked  # pytest would take its names for those of tests
from pipeline.lineage.runs import LoggedRun
from pipeline.project.lockfile import StageRecord
from tests.lineage.by_hand import run_of, stage, with_metrics, with_params
from tests.lineage.conftest import Project

SFT = stage("train_sft", ["texts"], ["artifacts/sft"], code=["stages/sft.py"], params={"epochs": 1, "lr": 5e-06})
OTHER_INPUT, OTHER_OUTPUT = {"dvc.dep/texts": "other"}, {"dvc.out/artifacts/sft": "other"}


class Told:
    """Runs by stage, as a store would answer."""

    def __init__(self, runs: list[LoggedRun]) -> None:
        self.runs = runs

    def of_version(self, record: StageRecord) -> list[LoggedRun]:
        return self.runs


def said(project: Project, *runs: LoggedRun, record: StageRecord = SFT) -> asked.Testimony:
    return asked.testimony([record], Told(list(runs)), project.contents())  # type: ignore[arg-type]


def test_a_run_that_says_the_same_confirms(project: Project) -> None:
    assert said(project, run_of(SFT)) == asked.Testimony(confirmed=["train_sft"])


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (with_params(run_of(SFT), epochs="2"), "epochs is 1 in dvc.lock and 2 in the run"),
        (with_params(run_of(SFT), seed="3"), "seed is not in dvc.lock and 3 in the run"),
        (replace(run_of(SFT), params={"epochs": "1"}), "lr is 5e-06 in dvc.lock and not in the run"),
        (run_of(SFT, **OTHER_INPUT), "it read texts as hash of text in dvc.lock and as other in the run"),
        (run_of(SFT, **{"dvc.dep/texts": None}), "it read texts as hash of text in dvc.lock and as nothing in the run"),
        (run_of(SFT, **{"dvc.code": "other"}), "the code is another in dvc.lock than in the run"),
    ],
)
def test_a_run_that_wrote_it_and_says_otherwise_contradicts(project: Project, run: LoggedRun, words: str) -> None:
    found = said(project, run)
    (line,) = found.breaks
    assert f"train_sft: dvc.lock says something else than MLflow's run run: {words}. " in line
    assert not found.confirmed and not found.unconfirmed


def test_numbers_that_are_written_in_another_way_are_no_contradiction(project: Project) -> None:
    assert said(project, with_params(run_of(SFT), lr="0.000005", epochs="1.0")).confirmed == ["train_sft"]


def test_no_run_is_no_contradiction_and_no_confirmation(project: Project) -> None:
    found = said(project)
    assert found.unconfirmed == {"train_sft": "no run in MLflow says that it wrote this version"}
    assert not found.breaks and not found.confirmed


@pytest.mark.parametrize("tags", [{"journal": None}, {"stage": "forged"}])
def test_a_run_that_no_stage_of_this_name_has_logged_confirms_nothing(project: Project, tags: dict[str, str]) -> None:
    assert "no stage of this name has logged it" in said(project, run_of(SFT, **tags)).unconfirmed["train_sft"]


def test_one_execution_that_agrees_is_enough(project: Project) -> None:
    """Others may have had the same result: after a change without an effect, for one."""
    assert said(project, with_params(run_of(SFT, "a"), epochs="2"), run_of(SFT, "b")).confirmed == ["train_sft"]


def test_a_copy_that_agrees_does_not_clear_the_execution_that_does_not(project: Project) -> None:
    first = with_params(run_of(SFT, "a", journal="same"), epochs="2")
    (line,) = said(project, first, run_of(SFT, "b", journal="same")).breaks
    assert "run a (another run says that it is the same execution)" in line


def test_the_run_that_differs_least_is_named_and_a_deleted_one_too(project: Project) -> None:
    far = with_params(run_of(SFT, "far", **OTHER_INPUT), epochs="2")
    near = replace(with_params(run_of(SFT, "near"), epochs="3"), deleted=True)
    (line,) = said(project, far, near).breaks
    assert "run near (deleted in MLflow)" in line and "far" not in line


def test_many_differences_are_counted(project: Project) -> None:
    record = stage("s", (), ["out"], params={f"p{number:02}": number for number in range(13)})
    (line,) = said(project, replace(run_of(record), params={}), record=record).breaks
    assert "p09 is 9" in line and "p10" not in line and "; and 3 more. " in line


def test_without_a_run_that_wrote_it_one_that_differs_in_nothing_else_contradicts(project: Project) -> None:
    """Same inputs, code and parameters, and another result: somebody put that output there."""
    (line,) = said(project, run_of(SFT, **OTHER_OUTPUT)).breaks
    assert "of the same inputs, code and parameters" in line and "artifacts/sft is hash of arti" in line
    assert said(project, run_of(SFT, **OTHER_OUTPUT, **OTHER_INPUT)).breaks == [], "it is of another version"
    assert said(project, with_params(run_of(SFT, **OTHER_OUTPUT), epochs="2")).breaks == []
    assert said(project, run_of(SFT, "a", **OTHER_OUTPUT), run_of(SFT, "b")).confirmed == ["train_sft"]


def test_the_run_of_a_policy_may_have_more_parameters(project: Project) -> None:
    assert said(project, with_params(run_of(SFT, policy="sft"), seed="3")).confirmed == ["train_sft"]
    assert said(project, with_params(run_of(SFT, policy="sft"), epochs="3")).breaks


class TestOfNumbers:
    """What a stage wrote as JSON beside what it logged."""

    def record(self, project: Project, **files: object) -> StageRecord:
        for name, values in files.items():
            project.write(f"{name}.json", json.dumps(values))
        project.stage("measure", [], [f"{name}.json" for name in files])
        return project.lock().stages["measure"]

    @pytest.mark.parametrize(
        ("logged", "agrees"), [(0.7, True), (0.7 + 1e-12, True), (0.9, False), (float("nan"), False)]
    )
    def test_they_are_the_same_up_to_rounding(self, project: Project, logged: float, agrees: bool) -> None:
        record = self.record(project, m={"accuracy": 0.7, "own": {"pairs": 3}, "flag": True})
        run = with_metrics(run_of(record), final__accuracy=logged, final__own__pairs=3, final__flag=0)
        found = said(project, run, record=record)
        assert bool(found.confirmed) == agrees
        assert agrees or "final.accuracy is 0.7 in m.json and " in found.breaks[0]

    def test_nan_is_nan(self, project: Project) -> None:
        record = self.record(project, m={"accuracy": float("nan")})
        assert said(project, with_metrics(run_of(record), final__accuracy=float("nan")), record=record).confirmed

    def test_what_was_not_logged_or_is_in_two_files_is_not_compared(self, project: Project) -> None:
        record = self.record(project, m={"a": 1, "b": 2}, n={"a": 3})
        assert said(project, with_metrics(run_of(record), final__a=9), record=record).confirmed
        assert said(project, with_metrics(run_of(record), final__b=9), record=record).breaks

    def test_json_without_numbers_by_name_is_not_compared(self, project: Project) -> None:
        record = self.record(project, m=[1, 2])
        assert said(project, with_metrics(run_of(record), final__a=9), record=record).confirmed
