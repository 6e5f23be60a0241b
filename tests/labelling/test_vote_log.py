"""Lines are whole, on the disk, and never lost or changed."""

import errno
import os
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.labelling import vote_log
from pipeline.labelling.vote_log import VoteLog
from tests.labelling.serving import read_lines

ROW = {"prompt": "P", "response_a": " x\udc00", "response_b": " y", "winner": "a", "annotator": "ann", "item": "i"}
LINE = '{"prompt": "P", "response_a": "x", "response_b": "y", "winner": "a", "annotator": "ann", "item": "j"}'


def test_what_was_appended_is_there_after_a_restart(votes: Path) -> None:
    log = VoteLog(votes)
    log.append(ROW)
    log.append({**ROW, "winner": "b"})
    log.close()
    again = VoteLog(votes)
    assert again.rows == [ROW, {**ROW, "winner": "b"}] == read_lines(votes)
    assert again.mended is None


@pytest.mark.parametrize("cut", [1, 20, len(LINE) - 1])
def test_a_line_that_was_cut_off_is_kept_apart_and_told(votes: Path, cut: int) -> None:
    votes.parent.mkdir()
    votes.write_text(f"{LINE}\n{LINE[:cut]}")
    log = VoteLog(votes)
    assert len(log.rows) == 1
    assert log.mended is not None and "cut off" in log.mended and "ann.torn" in log.mended
    assert votes.with_suffix(".torn").read_text() == f"{LINE[:cut]}\n"
    log.append(ROW)
    assert len(read_lines(votes)) == 2


def test_a_whole_line_without_its_line_break_counts(votes: Path) -> None:
    votes.parent.mkdir()
    votes.write_text(f"{LINE}\n{LINE}")
    log = VoteLog(votes)
    assert len(log.rows) == 2 and log.mended is None
    log.append(ROW)
    assert len(read_lines(votes)) == 3


def test_a_broken_line_in_the_middle_is_named(votes: Path) -> None:
    votes.parent.mkdir()
    votes.write_text(f'{LINE}\n{{"prompt"\n{LINE}\n')
    with pytest.raises(PipelineError, match=r"ann\.jsonl, line 2: not JSON"):
        VoteLog(votes)
    votes.write_text(f'{LINE}\n{{"prompt": "P"}}\n')
    with pytest.raises(PipelineError, match=r"line 2: lacks response_a, response_b, winner, annotator"):
        VoteLog(votes)


def test_a_second_process_is_refused(votes: Path) -> None:
    log = VoteLog(votes)
    with pytest.raises(PipelineError, match="in use"):
        VoteLog(votes)
    log.close()
    VoteLog(votes).close()


def test_a_full_disk_leaves_the_file_as_it_was(votes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = VoteLog(votes)
    log.append(ROW)
    write = os.write

    def write_half(handle: int, content: bytes) -> int:
        if len(content) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, content[: len(content) - 10])

    with monkeypatch.context() as patched:
        patched.setattr(vote_log.os, "write", write_half)
        with pytest.raises(OSError, match="No space"):
            log.append({**ROW, "winner": "b"})
    assert read_lines(votes) == log.rows == [ROW]
    log.append({**ROW, "winner": "tie"})
    assert [row["winner"] for row in read_lines(votes)] == ["a", "tie"]


def test_a_line_is_on_the_disk_before_append_returns(votes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = VoteLog(votes)
    sizes = []
    monkeypatch.setattr(vote_log.os, "fsync", lambda handle: sizes.append(os.fstat(handle).st_size))
    log.append(ROW)
    assert sizes == [votes.stat().st_size]
