"""Preference pairs from the votes of people: the majority decides, and every vote is accounted for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.data.agreement import summarise_votes
from pipeline.data.preferences import given_pairs
from pipeline.data.records import fold, record_id
from pipeline.errors import PipelineError
from pipeline.reading.entry import Entry
from pipeline.reading.row_votes import read_votes
from pipeline.reading.styles import Style
from pipeline.reading.verdicts import Vote
from pipeline.reading.vote_files import is_whole, read_vote_lines
from pipeline.scratch import ScratchFile


@dataclass(frozen=True)
class LabelledPairs:
    """What the votes say, and what became of each."""

    pairs: list[dict[str, Any]]
    """Raw pairs, with their `votes`: annotator, verdict (a is the chosen response) and swapped (b was shown first)."""
    votes: dict[str, int]
    """Lines of the vote files by what became of them: `in_pairs`, or the reason why they are in none."""
    compared: dict[str, int]
    """Pairs of responses by the same; a pair that has only skipped or undone votes is none."""
    agreement: dict[str, Any]
    """Of the votes on all compared pairs: those with a winner alone would say nothing of who disagrees."""

    @property
    def undecided(self) -> int:
        """Pairs of responses without a winner."""
        return self.compared["tie"] + self.compared["no_majority"]


@dataclass(frozen=True)
class Ballots:
    """All lines of the vote files of a folder."""

    rows: list[dict[str, Any]]
    torn: list[str]
    """Files whose last line was cut off when its writer was killed."""


def read_ballots(folder: Path) -> Ballots:
    """The vote files of a folder (`*.jsonl`), in the order of their names.

    Raises:
        PipelineError: there is no vote, or a line is none.
    """
    files = sorted(folder.glob("*.jsonl"))
    read = {file: read_vote_lines(file) for file in files}
    rows = [row for lines in read.values() for row in lines.rows]
    if not rows:
        raise PipelineError(
            f"{folder.name}: no votes in {folder}/*.jsonl. Collect some with `make label ANNOTATOR=NAME`, or set "
            "collect_preferences.source to sampled."
        )
    return Ballots(rows, [file.name for file, lines in read.items() if lines.rest and not is_whole(lines.rest)])


def labelled_pairs(ballots: Ballots, prompts: Sequence[Mapping[str, Any]]) -> LabelledPairs:
    """Pairs by the majority of their votes, each in the split of its prompt.

    Args:
        prompts: rows with `id`, `prompt`, `category` and `split`. Prompts are compared folded, as when the splits were
            drawn.
    """
    by_prompt = {fold(row["prompt"]): row for row in prompts}
    pairs = []
    votes = Counter({"torn_line": len(ballots.torn)})
    compared: Counter[str] = Counter()
    said: list[tuple[Vote, ...]] = []
    for entry in read_votes(enumerate(ballots.rows, start=1), Style(), ScratchFile()):
        row = ballots.rows[entry.rows[0] - 1]
        fate = _fate(entry, fold(str(row["prompt"])) in by_prompt)
        votes[fate] += len(entry.rows)
        if entry.votes:
            compared[fate] += 1
            said.append(entry.votes)
        if fate == "in_pairs":
            pairs.append(_pair(entry, row, by_prompt[fold(row["prompt"])]))
    return LabelledPairs(
        pairs, _counts(votes, _VOTE_FATES), _counts(compared, _PAIR_FATES), agreement=summarise_votes(said)
    )


_PAIR_FATES = ("in_pairs", "tie", "no_majority", "prompt_in_no_split")
_VOTE_FATES = (*_PAIR_FATES, "skipped", "undone", "superseded", "torn_line")


def _counts(found: Counter[str], always: Sequence[str]) -> dict[str, int]:
    """With a zero where a usual fate has none, so that a metric does not come and go."""
    return {fate: found[fate] for fate in sorted({*always, *(name for name, count in found.items() if count)})}


def _fate(entry: Entry, has_split: bool) -> str:
    if not entry.votes:
        return entry.reason
    if not has_split:
        return "prompt_in_no_split"
    if entry.record is not None:
        return "in_pairs"
    verdicts = Counter(vote.verdict for vote in entry.votes)
    return "tie" if verdicts["tie"] > max(verdicts["a"], verdicts["b"]) else "no_majority"


def _pair(entry: Entry, row: Mapping[str, Any], prompt: Mapping[str, Any]) -> dict[str, Any]:
    """The raw pair; whether a response had ended is what its first vote says."""
    assert entry.record is not None
    texts = {name: entry.record[name] for name in ("prompt", "chosen", "rejected")}
    a_won = texts["chosen"] == row["response_a"]
    ended = [bool(row.get(f"response_{side}_ended", True)) for side in ("a", "b")]
    place = {name: prompt[name] for name in ("category", "split")}
    (pair,) = given_pairs([{**texts, **place, "id": record_id(*texts.values()), "votes": entry.record["votes"]}])
    return {
        **pair,
        "prompt_id": prompt["id"],
        "chosen_ended": ended[0] if a_won else ended[1],
        "rejected_ended": ended[1] if a_won else ended[0],
        "source": "labelled",
    }
