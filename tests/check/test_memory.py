"""The check says whether each training fits, before any model is trained."""

import types
from typing import Any

import pytest

from pipeline.check.findings import Findings
from pipeline.check.text import render
from pipeline.memory import fitting
from tests.check.conftest import pairs

Project = types.SimpleNamespace
SECTIONS = ["train_sft", "train_reward", "optimize.dpo", "optimize.ppo"]


def memory_table(findings: Findings) -> dict[str, tuple[str, ...]]:
    (table,) = [table for table in findings.tables if table.title == "Memory of the trainings"]
    return {row[0]: tuple(row[1:]) for row in table.rows}


@pytest.mark.parametrize("source", ["given", "sampled"])
def test_every_training_is_named_with_its_peak_and_the_memory(
    project: Project, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "usable_memory", lambda _: 8 << 30)
    project.write(pairs(300))
    findings = project.check(collect_preferences__source=source, sampling__max_new_tokens=16)
    assert findings.errors == []
    table = memory_table(findings)
    assert list(table) == SECTIONS
    assert {row[1:] for row in table.values()} == {("8.0 GiB", "fits")}
    assert "estimated peak" in render(findings, project.root / "params.yaml")


@pytest.mark.parametrize(("share", "word"), [(1.3, "may not fit"), (3, "cannot fit")])
def test_what_does_not_fit_is_said_with_the_parameter_to_change(
    project: Project, share: float, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond 1.6 times the memory the run would stop; below it the estimate may be wrong."""
    monkeypatch.setattr("pipeline.memory.need.LIBRARIES", 0)
    project.write(pairs(300))
    changes = {"optimize__methods": ["dpo"], "optimize__dpo__per_device_train_batch_size": 64}
    needs: dict[str, int] = {}
    estimate = fitting.needed_bytes

    def needed(work: Any, conditions: Any) -> int:
        return needs.setdefault(work.section, estimate(work, conditions))

    with monkeypatch.context() as noted:
        noted.setattr(fitting, "needed_bytes", needed)
        project.check(**changes)
    monkeypatch.setattr(fitting, "usable_memory", lambda _: int(needs["optimize.dpo"] / share))
    findings = project.check(**changes)
    assert memory_table(findings)["optimize.dpo"][2] == word
    found = findings.errors if word == "cannot fit" else findings.warnings
    (problem,) = [one for one in found if one.message.startswith("optimize.dpo needs about")]
    assert problem.key in (
        "runtime.recompute",
        "runtime.max_forward_tokens",
        "optimize.dpo.per_device_train_batch_size",
    )
    assert f"Set {problem.key}: {problem.value}" in problem.message


def test_a_model_that_is_bought_and_methods_that_are_not_run_are_not_counted(project: Project) -> None:
    project.write(pairs(300))
    assert list(memory_table(project.check(optimize__methods=["dpo", "hybrid"]))) == [
        "train_sft", "train_reward", "optimize.dpo", "optimize.hybrid",
    ]  # fmt: skip
    bought = project.check(models__reward_backbone__is_reward_model=True)
    assert "train_reward" not in memory_table(bought)


def test_long_texts_count_as_they_will_be_cut_or_dropped(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pair that score_reference drops needs no memory in DPO, and what max_length cuts none in SFT."""
    seen: dict[str, int] = {}
    estimate = fitting.needed_bytes

    def needed(work: Any, conditions: Any) -> int:
        seen[work.section] = work.longest
        return estimate(work, conditions)

    monkeypatch.setattr(fitting, "needed_bytes", needed)
    project.write([*pairs(300), *({**row, "prompt": "Long?" + row["prompt"]} for row in pairs(30, words=200))])
    project.check(train_sft__max_length=90, score_reference__max_length=80, train_reward__max_length=40)
    assert seen["train_sft"] == 90 and seen["train_reward"] <= 80 and seen["optimize.dpo"] <= 160
