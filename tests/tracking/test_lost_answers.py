"""A server, or a mirror, that dies after it did what it was asked: the next mirror finds that and does the rest."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pipeline.tracking import mirror as mirror_module
from pipeline.tracking.mirror import Mirror
from pipeline.tracking.project_store import connect
from pipeline.tracking.registry import CANDIDATE
from pipeline.tracking.store import Store
from tests.tracking.conftest import client, history, only_run
from tests.tracking.test_mirror import Interrupted
from tests.tracking.test_registry import evaluate, registry, report

CHANGES = ("create_", "finalize_", "log_", "set_", "update_")


class Dying:
    """A client that changes so many things, and is gone before it can say that it changed the last."""

    def __init__(self, actual: Any, changes: list[str], lives: int) -> None:
        self._actual, self._changes, self._lives = actual, changes, lives

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._actual, name)

        def change(*arguments: Any, **keywords: Any) -> Any:
            answer = method(*arguments, **keywords)
            self._changes.append(name)
            if len(self._changes) == self._lives:
                raise Interrupted
            return answer

        return change if name.startswith(CHANGES) else method


def send_all(journals: list[Path], uri: str) -> None:
    for journal in journals:
        if journal.exists():
            mirror = Mirror(journal, uri)
            mirror.read()
            mirror.send()
            mirror.close()


@pytest.mark.slow(
    beside="tests/tracking/test_mirror.py::test_a_mirror_that_stops_around_storing_its_progress_is_continued"
)
def test_what_was_done_without_an_answer_is_done_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{root / 'mlflow.db'}"
    for lives in count(1):
        name, changes = f"lives{lives}", list[str]()
        journals = [evaluate(root, name, name, [0.5, 0.6]), report(root, name, name)]

        def dying(uri: str, lock: Path, changes: list[str] = changes, lives: int = lives) -> Store:
            return Store(Dying(connect(uri, lock).client, changes, lives))

        with monkeypatch.context() as patch:
            patch.setattr(mirror_module, "connect", dying)
            try:
                send_all(journals, uri)
            except Interrupted:
                pass
            else:
                break
        send_all(journals, uri)
        assert_once(root, name, f"died after {changes[-1]}, change {lives}")
    assert lives > 15 and {"create_run", "create_logged_model", "log_outputs", "create_model_version"} <= {*changes}


def assert_once(root: Path, name: str, when: str) -> None:
    run = only_run(root, name)
    assert run.info.status == "FINISHED", when
    assert len(run.inputs.dataset_inputs) == 2, when
    assert history(root, run, "interval/judge_gain.low") == [(0, 0.1)], when
    (model,) = client(root).search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    assert model.status == "READY" and len(model.metrics) == 1, when
    assert [one.model_id for one in run.outputs.model_outputs] == [model.model_id], when
    assert [file.path for file in client(root).list_artifacts(run.info.run_id)] == ["index.html", "samples.json"], when
    assert len(client(root).search_model_versions(f"name = '{name}'")) == 1, when
    assert registry(root, name).holder(CANDIDATE) is not None and run.data.tags["champion"], when
