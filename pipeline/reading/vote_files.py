"""The files that the labelling page writes: one line a vote, never changed again."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

from pipeline.errors import PipelineError
from pipeline.reading.verdicts import NO_VERDICTS, read_verdict

FOLDER = Path("data/labels")
FIELDS = ("prompt", "response_a", "response_b", "winner", "annotator")


class VoteRow(TypedDict, total=False):
    """A line of a vote file: each has the first five, and those of the labelling page all."""

    prompt: str
    response_a: str
    response_b: str
    winner: str | None
    """a, b, tie, skip or undo; nothing yet where it is empty."""
    annotator: str
    item: str
    """Id of what was voted on: a later line of an annotator on the same replaces an earlier one."""
    order: str
    """ba where the second response of the item was shown first, as a."""
    response_a_ended: bool
    """False where sampling cut the response off."""
    response_b_ended: bool
    time: str
    """In UTC, as ISO 8601."""


@dataclass(frozen=True)
class VoteLines:
    """The lines of one file."""

    rows: list[VoteRow]
    whole: int
    """Bytes of the lines that end with a line break."""
    rest: bytes
    """What follows them: a line that its writer did not finish, because it was killed."""


def read_vote_lines(path: Path) -> VoteLines:
    """The votes of a file in the order in which they were given.

    A last line without a line break counts when it is a whole vote; else it is the `rest` alone, which whoever reads
    it has to tell of.

    Raises:
        PipelineError: naming file and line of what is no vote.
    """
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    lines, rest = content[:whole].split(b"\n")[:-1], content[whole:]
    rows = [_vote(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]
    if is_whole(rest):
        rows.append(_vote(rest, f"{path}, line {len(lines) + 1}"))
    return VoteLines(rows, whole, rest)


def is_whole(line: bytes) -> bool:
    """Whether a line is JSON: one that was cut off lacks at least its closing brace."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _vote(line: bytes, place: str) -> VoteRow:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise PipelineError(f"{place}: not JSON ({error}). Mend the line, or remove it.") from error
    missing = [name for name in FIELDS if not isinstance(row, dict) or name not in row]
    if missing:
        raise PipelineError(f"{place}: lacks {', '.join(missing)}, which every vote has. Mend the line, or remove it.")
    if not _is_verdict(row["winner"]):
        raise PipelineError(
            f"{place}: the winner is {row['winner']!r}, which may mean one thing or another. Write a or b (the "
            f"response of that name), tie, or {' or '.join(NO_VERDICTS)}; data.winner_coding is for data.source alone."
        )
    return cast(VoteRow, row)


def _is_verdict(winner: Any) -> bool:
    """A word that leaves nothing open, no vote, or nothing yet."""
    return winner in (None, "") or (isinstance(winner, str) and (winner in NO_VERDICTS or bool(read_verdict(winner))))
