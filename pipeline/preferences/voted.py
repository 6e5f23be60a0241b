"""Pairs that people voted for: the majority decides, and every vote is accounted for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.records import fold, record_id
from pipeline.errors import PipelineError
from pipeline.preferences.agreement import summarise_votes
from pipeline.preferences.collected import Collected
from pipeline.preferences.pair import PreferencePair
from pipeline.preferences.prompts import SplitPrompt
from pipeline.reading.entry import Entry
from pipeline.reading.row_votes import read_votes
from pipeline.reading.styles import Style
from pipeline.reading.vote_files import VoteRow, is_whole, read_vote_lines
from pipeline.reading.votes import Vote
from pipeline.results.preferences import CollectionDetails, VoteSummary
from pipeline.scratch import ScratchFile


@dataclass(frozen=True)
class LabelledPairs:
    """What the votes say, and what became of each."""

    pairs: list[PreferencePair]
    """With their votes."""
    votes: dict[str, int]
    """Lines of the vote files by what became of them: `in_pairs`, or the reason why they are in none."""
    compared: dict[str, int]
    """Pairs of responses by the same; a pair that has only skipped or undone votes is none."""
    agreement: VoteSummary
    """Agreement of the votes on all compared pairs, also on those without a winner, which are where people disagree."""

    @property
    def undecided(self) -> int:
        """Pairs of responses without a winner."""
        return self.compared["tie"] + self.compared["no_majority"]


@dataclass(frozen=True)
class Ballots:
    """All lines of the vote files of a folder."""

    rows: list[VoteRow]
    torn: list[str]
    """Files whose last line was cut off when its writer was killed."""


def read_ballots(folder: Path) -> Ballots:
    """The vote files of a folder (`*.jsonl`), in the order of their names.

    Raises:
        PipelineError: there is no vote, or a line is not a vote.
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


def collect_labelled(folder: Path, prompts: Sequence[SplitPrompt]) -> Collected:
    """Pairs by the vote files of a folder; the terminal says where the last line of a file was cut off.

    Raises:
        PipelineError: no vote gives a pair.
    """
    ballots = read_ballots(folder)
    for name in ballots.torn:
        print(
            f"warning: the last line of data/labels/{name} was cut off; the vote in it was never confirmed.", flush=True
        )
    found = labelled_pairs(ballots, prompts)
    if not found.pairs:
        raise PipelineError(
            f"data/labels: no vote gives a pair ({found.votes}). prompt_in_no_split counts votes on prompts that are "
            "not in artifacts/data/prompts/{train,validation,test}.jsonl; label the samples of this policy with "
            "`make label`, or set collect_preferences.source to sampled."
        )
    details = CollectionDetails(votes=found.votes, compared=found.compared, agreement=found.agreement)
    return Collected(found.pairs, found.undecided, details)


def labelled_pairs(ballots: Ballots, prompts: Sequence[SplitPrompt]) -> LabelledPairs:
    """Pairs by the majority of their votes, each in the split of its prompt.

    Args:
        prompts: are compared folded, as when the splits were drawn.
    """
    by_prompt = {fold(prompt.prompt): prompt for prompt in prompts}
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


def _pair(entry: Entry, row: VoteRow, prompt: SplitPrompt) -> PreferencePair:
    """Whether a response had ended is what its first vote says."""
    assert entry.record is not None
    text, chosen, rejected = (entry.record[name] for name in ("prompt", "chosen", "rejected"))
    ended = [bool(row.get(f"response_{side}_ended", True)) for side in ("a", "b")]
    if chosen != row["response_a"]:
        ended.reverse()
    return PreferencePair(
        id=record_id(text, chosen, rejected),
        prompt_id=prompt.id,
        prompt=text,
        category=prompt.category,
        chosen=chosen,
        rejected=rejected,
        chosen_ended=ended[0],
        rejected_ended=ended[1],
        split=prompt.split,
        source="labelled",
        votes=tuple(Vote(**vote) for vote in entry.record["votes"]),
    )
