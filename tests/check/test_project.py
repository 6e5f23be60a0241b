"""The check says before hours what would stop a run, with the key that is the cause."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.check.text import find_line, render
from pipeline.data import preparation
from pipeline.data.splits import split_edges
from pipeline.params.data import Data
from tests.check.conftest import pairs
from tests.check.reading_findings import Project, keys, said, table
from tests.tiny_project import edit_params


def test_sound_pairs_pass_and_the_tables_say_what_they_are(project: Project) -> None:
    project.write([{**row, "notes": "x"} for row in pairs(300)])
    findings = project.check()
    assert findings.errors == []
    text = render(findings, project.root / "params.yaml")
    for part in ("What was read", "preference_pairs", "notes", "What would be used", "Lengths in tokens", "0 errors"):
        assert part in text, text


def test_long_pairs_name_every_limit_that_would_lose_them(project: Project) -> None:
    """Item by item: each of them used to be found by another stage, hours apart."""
    # responses of thirty times the same word repeat each other
    edit_params(project.root, {"data.leakage.threshold": 1.0})
    project.write(pairs(300, words=30))
    findings = project.check(
        validate_preferences__max_tokens=20, train_sft__max_length=20, score_reference__max_length=20
    )
    advised = {problem.key: problem.value for problem in [*findings.errors, *findings.warnings]}
    for key in ("validate_preferences.max_tokens", "train_sft.max_length", "score_reference.max_length"):
        assert key in keys(findings) and advised[key] % 64 == 0 and advised[key] > 20
    again = project.check(**{key.replace(".", "__"): min(advised[key], 128) for key in advised if advised[key]})
    assert again.errors == []


def test_a_length_beyond_the_model_is_an_error_with_the_most_that_it_reads(project: Project) -> None:
    project.write(pairs(300))
    findings = project.check(train_sft__max_length=4096, train_reward__max_length=4096)
    assert {problem.key: problem.value for problem in findings.errors} == {
        "train_sft.max_length": 128,
        "train_reward.max_length": 64,
    }


def test_rows_of_which_all_splits_have_enough_are_divided_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    divided = []

    def counting(data: Data) -> Mapping[str, tuple[float, float]]:
        divided.append(data)
        return split_edges(data)

    monkeypatch.setattr(preparation, "split_edges", counting)
    project.write(pairs(600))
    assert project.check(collect_preferences__source="sampled").errors == [] and len(divided) == 1


def test_small_splits_are_named_before_anything_is_trained(project: Project) -> None:
    project.write(pairs(60))
    findings = project.check()
    assert keys(findings) == ["data.splits.validation", "data.splits.test"]
    assert "validation gets 3 accepted pairs, fewer than validate_preferences.min_pairs (16)" in (
        findings.errors[0].message
    )


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("rows", [100, 200, 300])
@pytest.mark.parametrize("source", ["given", "sampled"])
def test_of_a_small_source_the_check_says_what_the_draw_gives_and_which_share_is_enough(
    project: Project, rows: int, seed: int, source: str
) -> None:
    """Whether about 300 rows give a split enough is luck, and it was said without a number to put."""
    project.write(pairs(rows))
    changes = {"seed": seed, "collect_preferences__source": source}
    findings = project.check(**changes)
    use = {row[0]: int(row[1]) for row in table(findings, "What would be used").rows[:4]}
    short = {split for split in ("train", "validation", "test") if use[split] < 16}
    assert {problem.key for problem in findings.errors} == {f"data.splits.{split}" for split in short}
    if not short:
        return
    for split in short:
        (message,) = [problem.message for problem in findings.errors if problem.key == f"data.splits.{split}"]
        assert f"{split} gets {use[split]} " in message and "(16)" in message
    # what it says is what becomes of it
    advised = {key: float(share) for key, share in re.findall(r"(data\.splits\.\w+): ([\d.]+)", message)}
    assert {problem.key: float(problem.value) for problem in findings.errors}.items() <= advised.items()
    again = project.check(**changes, **{key.replace(".", "__"): value for key, value in advised.items()})
    assert again.errors == []
    then = {row[0]: row[1] for row in table(again, "What would be used").rows[:4]}
    counts = ", ".join(f"{split} {then[split]}" for split in ("train", "validation", "test"))
    assert counts in findings.errors[0].message


def test_with_all_shares_named_the_largest_gives(project: Project) -> None:
    project.write(pairs(300))
    shares = {"judge": 0.0, "sft": 0.0, "train": 0.78, "validation": 0.02, "test": 0.1, "evaluation": 0.1}
    (error,) = project.check(data__splits=shares).errors
    assert error.key == "data.splits.validation"
    (train,) = re.findall(r"data\.splits\.train: ([\d.]+)", error.message)
    better = {**shares, "validation": float(error.value), "train": float(train)}
    assert sum(better.values()) == pytest.approx(1.0) and project.check(data__splits=better).errors == []


def test_a_limit_that_is_the_cause_is_named(project: Project) -> None:
    project.write(pairs(600))
    (error,) = project.check(data__limits__validation=10).errors
    assert error.key == "data.limits.validation" and "validation gets 10 accepted pairs" in error.message
    assert project.check(data__limits__validation=error.value).errors == []


def test_of_rows_that_are_too_few_for_any_shares_that_is_said(project: Project) -> None:
    project.write(pairs(40))
    findings = project.check()
    assert set(keys(findings)) == {"validate_preferences.min_pairs"}
    (lowered,) = set(re.findall(r"minimum to (\d+)", findings.errors[0].message))
    assert project.check(validate_preferences__min_pairs=int(lowered)).errors == []


def test_prompts_that_just_suffice_are_a_warning(project: Project) -> None:
    project.write(pairs(300))
    shares = {"judge": None, "sft": None, "train": None, "validation": 0.07, "test": None, "evaluation": None}
    findings = project.check(data__splits=shares, collect_preferences__source="sampled")
    use = {row[0]: int(row[1]) for row in table(findings, "What would be used").rows[:4]}
    assert 16 <= use["validation"] < 24 and "only where few are ties" in said(findings)["data.splits.validation"]


def test_pairs_that_are_asked_for_and_are_not_there(project: Project) -> None:
    project.write([{"prompt": f"Question {at}?"} for at in range(300)])
    findings = project.check()
    assert "data.format" in keys(findings) and "judge.kind" in keys(findings)


def test_prompts_alone_are_enough_for_a_judge_that_needs_no_labels(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write([{"prompt": f"Question {at}?"} for at in range(400)])
    changes = {"collect_preferences__source": "sampled", "judge__kind": "chat"}
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert keys(project.check(**changes)) == ["judge.endpoint.key_variable"]
    monkeypatch.setenv("OPENAI_API_KEY", "word")
    findings = project.check(**changes)
    assert findings.errors == [] and "prompts alone" in said(findings)["data.source"]
    monkeypatch.delenv("OPENAI_API_KEY")
    assert project.check(**changes, judge__endpoint__base_url="http://127.0.0.1:8000/v1").errors == []


def test_preferences_that_would_only_serve_the_judge_are_a_warning(project: Project) -> None:
    project.write(pairs(300))
    findings = project.check(collect_preferences__source="sampled")
    assert findings.errors == [] and "labels of the judge alone" in said(findings)["collect_preferences.source"]


def test_votes_that_are_not_there(project: Project) -> None:
    project.write(pairs(300))
    assert "no votes" in project.check(collect_preferences__source="labelled").errors[0].message


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"data__source": "data/raw/absent.jsonl"}, "data.source"),
        ({"models__policy__source": "data/models/absent"}, "models.policy.source"),
        ({"models__reward_backbone__source": "package:absent_package"}, "models.reward_backbone.source"),
        ({"optimize__ppo__critic": "reward_model"}, "optimize.ppo.critic"),
        ({"models__reward_backbone__is_reward_model": True}, "models.reward_backbone.is_reward_model"),
        ({"sampling__stop_tokens": ["a long sentence"]}, "sampling.stop_tokens"),
        ({"data__columns": {"chosen": "good"}, "data__format": "preference_pairs"}, "data.columns.chosen"),
        ({"data__chat_format": "template"}, "data.chat_format"),
        ({"judge__kind": "chat", "judge__chat__prompt": "absent"}, "judge.chat.prompt"),
    ],
)
def test_what_a_parameter_names_is_looked_for(project: Project, changes: dict[str, Any], key: str) -> None:
    project.write(pairs(300))
    findings = project.check(**changes)
    assert key in keys(findings), findings.errors
    line, _ = find_line(project.root / "params.yaml", key)
    assert f"params.yaml:{line}: {key}" in render(findings, project.root / "params.yaml")


def test_a_reward_model_that_reads_no_more_stops_nothing(project: Project) -> None:
    project.write(pairs(300, words=70))
    lengths = {f"{key}__max_length": 128 for key in ("train_sft", "score_reference")}
    findings = project.check(
        **lengths, validate_preferences__max_tokens=None, train_reward__max_length=64, sampling__max_new_tokens=8
    )
    assert "reads no more" in said(findings)["models.reward_backbone.source"]
    assert not {key for key in keys(findings) if str(key).startswith("train_reward")}


def test_all_that_is_named_wrongly_is_said_at_once(project: Project) -> None:
    findings = project.check(models__policy__source="data/models/absent", judge__kind="reward_model")
    assert [*keys(findings)] == ["data.source", "models.policy.source", "judge.reward_model.source"]


@pytest.mark.parametrize(
    ("prompts", "said_of_them"), [(1, "there is one prompt"), (3, "there are 3 different prompts")]
)
@pytest.mark.parametrize("splits", [None, {"judge": 0.9, "sft": 0.02, "train": 0.02, "validation": 0.02, "test": 0.02}])
def test_prompts_that_are_too_few_to_split_are_the_one_error(
    project: Project, prompts: int, said_of_them: str, splits: dict[str, float] | None
) -> None:
    project.write([{**row, "prompt": f"Question {at % prompts}?"} for at, row in enumerate(pairs(300))])
    findings = project.check(**{"data__splits": {**splits, "evaluation": 0.02}} if splits else {})
    assert keys(findings) == ["data.source"]
    assert said_of_them in findings.errors[0].message and "none is left for" in findings.errors[0].message


def test_what_a_model_can_read_is_not_a_limit_of_the_parameters(project: Project) -> None:
    project.write(pairs(300))
    findings = project.check(sampling__max_new_tokens=16)
    lengths = next(table for table in findings.tables if table.title == "Lengths in tokens")
    (sampled,) = [row for row in lengths.rows if "new tokens" in row[0]]
    assert (
        sampled[0].endswith("16 new tokens")
        and sampled[4] == "128"
        and sampled[-1] == "models.policy.source (positions)"
    )


def test_prompts_count_as_long_as_the_policy_reads_them(project: Project) -> None:
    project.write([{**row, "prompt": f"{row['prompt']} {'word ' * 40}"} for row in pairs(300)])
    for limit, beyond in ((None, True), (20, False)):
        findings = project.check(sampling__max_prompt_tokens=limit)
        said = [one.message for one in findings.warnings if "evaluation prompts and" in one.message]
        assert bool(said) == beyond
