"""States of unfinished stages, the history beside them, and the lock that keeps two executions apart."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.resume import FollowedResume, Resume, resume_key
from pipeline.stage.costs import CostMeter
from pipeline.stage.history import History
from pipeline.stage.lock import stage_lock


def resume(root: Path, key: str = "key") -> Resume:
    return Resume(root, "train_sft", key, every_steps=1)


def test_a_saved_state_is_found_again(tmp_path: Path) -> None:
    first = resume(tmp_path)
    assert first.restore() is None and not first.found
    first.save_now({"step": 2, "tensor": torch.tensor([1.5, 2])})
    again = resume(tmp_path)
    assert again.found
    state = again.restore()
    assert state is not None and state["step"] == 2 and state["tensor"].tolist() == [1.5, 2.0]
    assert again.restore("another part") is None


@pytest.mark.parametrize("kept", [0, 50, 700])
def test_a_state_that_the_disk_has_damaged_is_one_sentence_with_its_file(tmp_path: Path, kept: int) -> None:
    resume(tmp_path).save_now({"step": 2, "tensor": torch.zeros(100)})
    (file,) = tmp_path.rglob("*.pt")
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(PipelineError, match=r"training\.pt: .* is damaged .*Remove the file") as found:
        resume(tmp_path).restore()
    assert "\n" not in str(found.value)


def test_a_state_of_other_inputs_is_removed(tmp_path: Path) -> None:
    resume(tmp_path).save_now({"step": 1})
    other = resume(tmp_path, "other")
    assert not other.found and other.restore() is None
    assert not resume(tmp_path).found


@pytest.mark.parametrize("fact", ["params", "inputs", "environment"])
def test_the_key_follows_everything_that_decides_the_outputs(fact: str) -> None:
    facts = {"params": {"seed": 0}, "inputs": {"artifacts/sft": "abc.dir"}, "environment": {"torch": "2.13.0"}}
    changed = {**facts, fact: {name: f"{value}1" for name, value in facts[fact].items()}}
    assert resume_key(facts) == resume_key(dict(reversed(facts.items())))
    assert resume_key(changed) != resume_key(facts)


def test_half_written_states_are_no_states(tmp_path: Path) -> None:
    first = resume(tmp_path)
    first.save_now({"step": 1})
    (first.folder / "training.tmp").write_bytes(b"half of a state")
    again = resume(tmp_path)
    assert again.restore() == {"step": 1}
    assert not list(again.folder.glob("*.tmp"))


def test_a_state_is_data_never_code(tmp_path: Path) -> None:
    first = resume(tmp_path)
    first.save_now({"step": 1})
    torch.save({"step": CostMeter()}, first.folder / "training.pt")
    with pytest.raises(Exception, match="weights_only"):
        resume(tmp_path).restore()


def test_after_success_nothing_is_left(tmp_path: Path) -> None:
    first = resume(tmp_path)
    first.save_now({"step": 1})
    first.write_note("run", "name")
    assert resume(tmp_path).read_note("run") == "name"
    resume(tmp_path).discard()
    assert not resume(tmp_path).found and resume(tmp_path).read_note("run") is None


def test_history_goes_on_where_the_state_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    costs = CostMeter()
    first = History(path, costs)
    for step in (1, 2, 3):
        costs.add_work(10, 1.0)
        first.add(step, {"loss": 1 / step}, at=step)
    with path.open("a") as stream:
        stream.write('{"row": {"step": 4')  # killed in the middle of a line
    costs = CostMeter()
    again = History(path, costs)
    assert [again.was_logged(step) for step in (2, 3, 4)] == [True, True, False]
    for step in (3, 4):  # the state was that of step 2
        again.add(step, {"loss": 1 / step}, at=step)
    rows = [json.loads(line) for line in again.as_text().splitlines()]
    assert rows == [{"step": step, "loss": 1 / step} for step in (1, 2, 3, 4)]
    measured = costs.measure("cpu")
    assert costs.so_far()["tokens"] == 20 and measured["tokens_per_second"] == 10.0


def test_a_history_that_was_complete_is_whole(tmp_path: Path) -> None:
    costs = CostMeter()
    History(tmp_path / "history.jsonl", costs).add(1, {"loss": 2.0}, at=1)
    assert json.loads(History(tmp_path / "history.jsonl", CostMeter()).as_text()) == {"step": 1, "loss": 2.0}


HOLDER = """
import sys, time
from pathlib import Path
from pipeline.stage.lock import stage_lock
with stage_lock(Path(sys.argv[1]), "train_sft"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_executions_of_a_stage_do_not_write_side_by_side(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    try:
        message = rf"train_sft already runs .* process {holder.pid}"
        with pytest.raises(PipelineError, match=message), stage_lock(tmp_path, "train_sft"):
            pass
        with stage_lock(tmp_path, "train_reward"):
            pass
    finally:
        holder.kill()
        holder.wait()
    with stage_lock(tmp_path, "train_sft"):
        assert (tmp_path / ".state/locks/train_sft").read_text() == f"{os.getpid()}\n"


def test_who_follows_sees_what_the_first_has_found_and_writes_nothing(tmp_path: Path) -> None:
    first = Resume(tmp_path, "stage", "key", every_steps=1)
    first.save_now({"step": 1})
    folder, parts = first.found_parts()
    follower = FollowedResume(Path(folder), parts)
    first.save_now({"step": 2}, "later")
    assert follower.found and follower.restore() == {"step": 1} and follower.restore("later") is None
    for write in (lambda: follower.save_now({"step": 3}), follower.clear, follower.discard):
        write()
    follower.write_note("run", "none")
    assert first.restore() == {"step": 1} and first.read_note("run") is None
    assert not FollowedResume(Path(folder), []).found
