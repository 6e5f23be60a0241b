"""Datasets, checkpoints, files and aliases reach the store once, however often a journal is sent."""

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from pipeline.errors import PipelineError
from pipeline.tracking.journal import Journal, JournalReader, Progress, new_journal_path, write_progress
from pipeline.tracking.mirror import Mirror
from pipeline.tracking.project_store import connect
from pipeline.tracking.registry import CANDIDATE, CHAMPION, Registry
from tests.tracking.conftest import client, history, only_run

PROMPTS = {"name": "prompts/evaluation.jsonl", "digest": "e" * 32}


def evaluate(
    root: Path, name: str, model: str, scores: list[float], *, low: float = 0.1, judge: str = "j",
    kind: str = "classifier", sft_samples: str = "s",
) -> Path:  # fmt: skip
    """The journal of the evaluation of a policy."""
    tags = {"stage": name, "dvc.dep/artifacts/evaluation_judge": judge, f"dvc.out/{name}/samples.jsonl": name}
    tags["dvc.dep/reports/policies/sft/samples.jsonl"] = sft_samples
    tags["dvc.dep/artifacts/policies/dpo/seed-0"] = "f"
    journal = Journal(
        new_journal_path(root, name),
        name=f"{name} beta=0.1",
        experiment="tests",
        params={"beta": "0.1", "judge.kind": kind, "sampling.temperature": "0.7", "sampling.max_new_tokens": "24"},
        tags=tags,
    )
    source = {"name": "data/raw/a.csv", "digest": "a" * 32, "source": "data/raw/a.csv", "context": "source", "rows": 3}
    journal.append("datasets", datasets=[source, {**PROMPTS, "source": "x", "context": "test"}])
    journal.append("metrics", step=0, values={"judge_score": 0.5, "interval/judge_gain.low": low})
    checkpoint = {"name": "dpo-seed-0", "tags": {"dvc.hash": "f"}, "params": {"beta": "0.1"}, "dataset": PROMPTS}
    journal.append("model", model={**checkpoint, "metrics": {"judge_score": 0.5}}, registered=model)
    table = {"columns": ["id", "judge_score"], "data": [[str(row), score] for row, score in enumerate(scores)]}
    if scores:
        journal.keep(json.dumps(table), "run/samples.json")
    journal.append("files", folder="run")
    journal.append("end", status="FINISHED")
    journal.close()
    return journal.path


def report(root: Path, model: str, policy: str, **flags: str) -> Path:
    """The journal of a report that names the best policy."""
    journal = Journal(new_journal_path(root, "report"), name="report", experiment="tests-stages", params={}, tags={})
    wrote = {f"{policy}/samples.jsonl": policy}
    journal.keep("<p>page</p>", "policies/index.html")
    journal.append("attach", wrote=wrote, folder="policies")
    journal.append("candidate", registered=model, wrote=wrote, flags=flags)
    journal.append("end", status="FINISHED")
    journal.close()
    return journal.path


def send(root: Path, journal: Path, *, times: int = 1) -> None:
    """Send a journal, and again from its beginning as if the progress had been lost each time."""
    uri = f"sqlite:///{root / 'mlflow.db'}"
    for _ in range(times - 1):
        mirror = Mirror(journal, uri)
        mirror.read()
        mirror.send()
        write_progress(journal, Progress())
    mirror = Mirror(journal, uri)
    mirror.read()
    mirror.send()
    mirror.close()


def registry(root: Path, model: str) -> Registry:
    return Registry(connect(f"sqlite:///{root / 'mlflow.db'}", root / "lock"), model)


def holders(root: Path, model: str) -> tuple[Any, Any]:
    found = [registry(root, model).holder(alias) for alias in (CANDIDATE, CHAMPION)]
    return tuple(None if one is None else int(one.version) for one in found)  # type: ignore[return-value]


@pytest.mark.parametrize("times", [1, 3])
def test_a_journal_that_is_sent_again_doubles_nothing(root: Path, times: int) -> None:
    name = f"evaluated{times}"
    send(root, evaluate(root, name, name, [0.5, 0.6]), times=times)
    run = only_run(root, name)
    assert {(one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs} == {
        ("data/raw/a.csv", "a" * 32), (PROMPTS["name"], PROMPTS["digest"]),
    }  # fmt: skip
    assert {tag.value for one in run.inputs.dataset_inputs for tag in one.tags} == {"source", "test"}
    assert len(run.inputs.dataset_inputs) == 2 and len(run.outputs.model_outputs) == 1
    (model,) = client(root).search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    assert model.params == {"beta": "0.1"} and model.tags["dvc.hash"] == "f"
    (metric,) = model.metrics
    assert (metric.key, metric.value, metric.dataset_digest) == ("judge_score", 0.5, "e" * 32)
    assert {value for _, value in history(root, run, "judge_score")} == {0.5}
    assert [file.path for file in client(root).list_artifacts(run.info.run_id)] == ["samples.json"]
    (version,) = client(root).search_model_versions(f"name = '{name}'")
    assert version.tags == {"judge_score": "0.500", "dvc.hash": "f"}, "the UI writes all of them below each other"
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": name, "version": str(version.version)}]
    assert not list((root / ".state/tracking").glob("*.files"))


def test_the_page_is_an_artifact_of_the_policy_that_it_shows(root: Path) -> None:
    send(root, evaluate(root, "shown", "shown", [0.5]))
    send(root, report(root, "shown", "shown"))
    files = {file.path for file in client(root).list_artifacts(only_run(root, "shown").info.run_id)}
    assert files == {"samples.json", "index.html"}


@pytest.mark.parametrize("begun", [False, True])
def test_what_a_report_says_of_a_run_waits_for_the_run(root: Path, begun: bool) -> None:
    name = f"late{begun}"
    policy, page = evaluate(root, name, name, [0.5]), report(root, name, name)
    if begun:
        mirror = Mirror(policy, f"sqlite:///{root / 'mlflow.db'}")
        mirror.read()
        del mirror._pending[2:]
        mirror.send()
    with pytest.raises(PipelineError, match=f"{policy.stem}.* has to be uploaded first"):
        send(root, page)
    send(root, policy)
    send(root, page)
    assert holders(root, name) == (1, 1)
    files = {file.path for file in client(root).list_artifacts(only_run(root, name).info.run_id)}
    assert files == {"samples.json", "index.html"}


def test_what_another_clone_made_in_the_same_moment_is_taken(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was not there when this one looked, and is there when it makes it."""
    send(root, evaluate(root, "sooner", "both", [0.5]))
    looks = {"get_experiment_by_name": None, "search_registered_models": []}
    for name, nothing in looks.items():
        look, seen = getattr(MlflowClient, name), [nothing]

        def late(*arguments: Any, look: Any = look, seen: list[Any] = seen, **keywords: Any) -> Any:
            return seen.pop() if seen else look(*arguments, **keywords)

        monkeypatch.setattr(MlflowClient, name, late)
    send(root, evaluate(root, "later", "both", [0.5]))
    assert len(client(root).search_model_versions("name = 'both'")) == 2


def test_a_champion_is_only_followed_by_one_that_beats_it_beyond_chance(root: Path) -> None:
    model = "champions"
    low, high = [0.1 * (row % 5) for row in range(50)], [0.1 * (row % 5) + 0.3 for row in range(50)]
    send(root, evaluate(root, "no-gain", model, low, low=-0.01))
    send(root, report(root, model, "no-gain"))
    assert holders(root, model) == (1, None)
    send(root, evaluate(root, "first", model, low))
    send(root, report(root, model, "first"), times=2)
    assert holders(root, model) == (2, 2)
    cases = [
        ("same", low, "j", {}, "does not beat version 2"),
        ("flagged", high, "j", {"reward_hacking": "..."}, "flags speak against it: reward_hacking"),
        ("judged", high, "other", {}, "was measured with another judge"),
        ("more-prompts", [*high, 0.9], "j", {}, "was measured on other prompts (50 in common)"),
        ("no-table", [], "j", {}, "its run keeps no table of samples"),
    ]
    for number, (name, scores, judge, flags, why) in enumerate(cases, start=3):
        send(root, evaluate(root, name, model, scores, judge=judge))
        send(root, report(root, model, name, **flags))
        assert holders(root, model) == (number, 2), name
        assert why in only_run(root, name).data.tags["champion"]
    send(root, evaluate(root, "better", model, high))
    send(root, report(root, model, "better"))
    assert holders(root, model) == (8, 8)
    table = registry(root, model).table()
    assert "champion" in table[0] and "flags speak against it" in "\n".join(table)


@pytest.mark.parametrize(("kind", "champion"), [("chat", 1), ("classifier", 2)])
def test_preferences_over_other_sft_samples_are_compared_with_none(root: Path, kind: str, champion: int) -> None:
    """Over a worse SFT policy a chat judge's score is higher by itself; a score of single texts is not."""
    model = f"other-sft-{kind}"
    low, high = [0.1 * (row % 5) for row in range(50)], [0.1 * (row % 5) + 0.3 for row in range(50)]
    for name, scores, sft_samples in ((f"good-{kind}", low, "good"), (f"bad-{kind}", high, "bad")):
        send(root, evaluate(root, name, model, scores, kind=kind, sft_samples=sft_samples))
        send(root, report(root, model, name))
    assert holders(root, model) == (2, champion)
    decision = only_run(root, f"bad-{kind}").data.tags["champion"]
    assert ("was measured with another set of SFT samples" in decision) == (kind == "chat"), decision


def test_people_promote_what_they_like(root: Path) -> None:
    send(root, evaluate(root, "by-hand", "hand", [0.5], low=-1.0))
    with pytest.raises(PipelineError, match="has no version 2; it has 1"):
        registry(root, "hand").promote("2")
    assert "version 1 of hand is the champion: by-hand beta=0.1" in registry(root, "hand").promote("1")
    assert holders(root, "hand")[1] == 1
    assert registry(root, "none").table() == ["no checkpoint is registered as none yet"]


def test_a_kept_file_is_that_of_then(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("then")
    journal = Journal(
        new_journal_path(root, "kept"), name="kept", experiment="tests", params={}, tags={"stage": "kept"}
    )
    journal.keep(file, "run/params.yaml")
    journal.append("files", folder="run")
    file.write_text("now")
    journal.append("end", status="FINISHED")
    journal.close()
    assert [event["event"] for event in JournalReader(journal.path).read()] == ["start", "files", "end"]
    send(root, journal.path)
    run = only_run(root, "kept")
    local = client(root).download_artifacts(run.info.run_id, "params.yaml", str(tmp_path))
    assert Path(local).read_text() == "then"
