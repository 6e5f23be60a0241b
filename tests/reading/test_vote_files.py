"""Vote files are read whole, and what a killed writer left is told apart."""

from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.reading.vote_files import VoteLines, is_whole, read_vote_lines

LINE = '{"prompt": "P\\u2028", "response_a": "x", "response_b": "y", "winner": "a", "annotator": "é"}'


def read(path: Path, content: str) -> VoteLines:
    path.write_text(content)
    return read_vote_lines(path)


def test_every_beginning_of_a_line_is_torn_and_only_the_whole_one_counts(tmp_path: Path) -> None:
    path, before = tmp_path / "ann.jsonl", len(f"{LINE}\n".encode())
    for cut in range(len(LINE) + 1):
        lines = read(path, f"{LINE}\n{LINE[:cut]}")
        assert (lines.whole, lines.rest) == (before, LINE[:cut].encode())
        assert len(lines.rows) == 1 + (cut == len(LINE)) and is_whole(lines.rest) == (cut == len(LINE))


def test_a_file_cut_inside_a_character(tmp_path: Path) -> None:
    path = tmp_path / "ann.jsonl"
    path.write_bytes(f"{LINE}\n".encode() + '{"prompt": "é'.encode()[:-1])
    assert len(read_vote_lines(path).rows) == 1 and read_vote_lines(path).rest.endswith(b"\xc3")


@pytest.mark.parametrize("line", ["", "[]", "3", '"text"', "{"])
def test_a_whole_line_that_is_no_vote_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(PipelineError, match=r"ann\.jsonl, line 2: .*Mend the line"):
        read(tmp_path / "ann.jsonl", f"{LINE}\n{line}\n{LINE}\n")


@pytest.mark.parametrize("winner", ["1", "0", "true", '"left"', '"1"', '["a"]'])
def test_a_winner_that_leaves_open_who_won_is_refused_with_what_to_write(winner: str, tmp_path: Path) -> None:
    line = LINE.replace('"winner": "a"', f'"winner": {winner}')
    with pytest.raises(PipelineError, match=r"ann\.jsonl, line 2: the winner is .*Write a or b .*tie, or skip or undo"):
        read(tmp_path / "ann.jsonl", f"{LINE}\n{line}\n")


@pytest.mark.parametrize("winner", ["a", "B", "tie", "skip", "undo", ""])
def test_words_are_votes(winner: str, tmp_path: Path) -> None:
    lines = read(tmp_path / "ann.jsonl", LINE.replace('"winner": "a"', f'"winner": "{winner}"') + "\n")
    assert lines.rows[0]["winner"] == winner


def test_a_new_file_has_no_votes(tmp_path: Path) -> None:
    assert read(tmp_path / "ann.jsonl", "") == VoteLines([], 0, b"")
