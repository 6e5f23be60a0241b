"""Replies that were paid for once are there for every process, whoever is killed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.judges import replies as replies_module
from pipeline.judges.replies import ReplyStore
from tests.conftest import ROOT


def test_a_process_finds_what_another_has_paid_for_since(tmp_path: Path) -> None:
    one, other = ReplyStore(tmp_path), ReplyStore(tmp_path)
    assert other.get({"model": "m", "seed": 1}) is None
    one.add({"model": "m", "seed": 1}, "A")
    assert other.get({"seed": 1, "model": "m"}) == "A"
    other.add({"model": "m", "seed": 2}, "B")
    assert one.get({"model": "m", "seed": 2}) == "B" and ReplyStore(tmp_path).get({"model": "m", "seed": 1}) == "A"


def test_half_a_line_of_a_killed_process_costs_no_other(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path)
    store.add({"q": 1}, "A")
    with store.path.open("ab") as stream:
        stream.write(b'{"key": "half')
    store.add({"q": 2}, "B")
    assert ReplyStore(tmp_path).get({"q": 2}) == "B" and ReplyStore(tmp_path).get({"q": 1}) == "A"


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ReplyStore(tmp_path)
    store.add({"q": 1}, "A")
    before = store.path.read_bytes()
    write = replies_module.os.write
    calls: list[int] = []

    def fails(descriptor: int, content: bytes) -> int:
        calls.append(1)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write(descriptor, content[:5])

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(replies_module.os, "write", fails)
        store.add({"q": 2}, "B")
    assert store.path.read_bytes() == before and store.get({"q": 2}) is None


_WRITER = """
import sys
from pathlib import Path
from pipeline.judges.replies import ReplyStore
store = ReplyStore(Path(sys.argv[1]))
for number in range(60):
    store.add({"writer": sys.argv[2], "number": number}, "long " * 5000)
"""


def test_processes_that_write_at_once_lose_and_mix_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, str(number)], cwd=ROOT) for number in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    rows = [json.loads(line) for line in (tmp_path / "replies.jsonl").read_text().splitlines()]
    assert len({row["key"] for row in rows}) == 180
