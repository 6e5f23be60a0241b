"""The preference pair: one type from the data to the losses, and its record on disk."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.data.passages import Passage
from pipeline.data.records import JsonObject, read_records
from pipeline.reading.votes import Vote

Side = Literal["chosen", "rejected"]
SIDES: tuple[Side, Side] = ("chosen", "rejected")
PairRecord = JsonObject
"""A pair as an object of JSON, see `PreferencePair.as_record`."""
RawPair = Mapping[str, Any]
"""What stands where a record of a pair should, before the contract has accepted it: any object of JSON."""


@dataclass(frozen=True)
class Origin:
    """Where a pair stands in the user's data."""

    file: str
    """The name of the file; several, with commas, where the votes on a pair are in several files."""
    rows: tuple[int, ...]
    """Numbers of the raw rows, from 1, each in its own file."""


@dataclass(frozen=True)
class PreferencePair:
    """A prompt with two responses, of which one is preferred."""

    id: str
    """16 hex digits of the hash of its three texts, see `record_id`."""
    prompt_id: str
    """Id of the record of the prompt; a given pair is its own."""
    prompt: str
    category: str
    """The kind of prompt."""
    chosen: str
    rejected: str
    chosen_ended: bool
    """The response is complete; False where sampling cut it at its length limit."""
    rejected_ended: bool
    split: str
    """train, validation or test."""
    source: str
    """sampled, given or labelled."""
    chosen_score: float | None = None
    """In the units of who scored, a judge or the data; None where nobody did."""
    rejected_score: float | None = None
    margin: float | None = None
    """By how much the judge prefers the chosen response, in its units; None where none did."""
    origin: Origin | None = None
    """Where a given pair comes from; None for other pairs."""
    votes: tuple[Vote, ...] | None = None
    """The votes of annotators, on the chosen response as a and the rejected one as b; None where nobody voted."""
    prompt_truncated: int | None = None
    """Tokens that were cut off the beginning of the prompt; None where none were."""

    @classmethod
    def of(cls, record: RawPair) -> "PreferencePair":
        """From a record that `as_record` gave, or that the contract has accepted."""
        origin, votes = record.get("origin"), record.get("votes")
        return cls(
            id=record["id"],
            prompt_id=record.get("prompt_id", record["id"]),
            prompt=record["prompt"],
            category=record.get("category", ""),
            chosen=record["chosen"],
            rejected=record["rejected"],
            chosen_ended=record["chosen_ended"],
            rejected_ended=record["rejected_ended"],
            split=record["split"],
            source=record["source"],
            chosen_score=record["chosen_score"],
            rejected_score=record["rejected_score"],
            margin=record["margin"],
            origin=None if origin is None else Origin(origin["file"], tuple(origin["rows"])),
            votes=None if votes is None else tuple(Vote(**vote) for vote in votes),
            prompt_truncated=record.get("prompt_truncated"),
        )

    def as_record(self) -> PairRecord:
        """Every field, but for `origin`, `votes` and `prompt_truncated` where they are None."""
        record = dict(vars(self))
        for name in _OPTIONAL:
            if record[name] is None:
                del record[name]
        if self.origin is not None:
            record["origin"] = {"file": self.origin.file, "rows": list(self.origin.rows)}
        if self.votes is not None:
            record["votes"] = [vote.as_record() for vote in self.votes]
        return record

    def response(self, side: Side) -> Passage:
        """One response, and whether it ended."""
        if side == "chosen":
            return Passage(self.chosen, self.chosen_ended)
        return Passage(self.rejected, self.rejected_ended)

    @property
    def passages(self) -> tuple[Passage, Passage]:
        """Prompt and response together, as a reward model reads them: with the chosen one, and with the other."""
        return self.response("chosen").after(self.prompt), self.response("rejected").after(self.prompt)

    @property
    def lengths(self) -> tuple[int, int]:
        """Characters of the chosen and of the rejected response."""
        return len(self.chosen), len(self.rejected)

    @property
    def judge_margin(self) -> float | None:
        """Score of the chosen response minus that of the rejected one; the margin where one has no score."""
        if self.chosen_score is None or self.rejected_score is None:
            return self.margin
        return self.chosen_score - self.rejected_score


_OPTIONAL = ("origin", "votes", "prompt_truncated")
_NEEDED = (
    "id", "prompt", "chosen", "rejected", "chosen_ended", "rejected_ended", "split", "source", "chosen_score",
    "rejected_score", "margin",
)  # fmt: skip


def read_pairs(path: Path) -> list[PreferencePair]:
    """The accepted pairs of a file.

    Raises:
        PipelineError: a line is no record of a pair; the error names file and line.
    """
    return [PreferencePair.of(record) for record in read_records(path, fields=_NEEDED)]


def passages_of(pairs: Iterable[PreferencePair]) -> list[Passage]:
    """Two passages of each pair, that with its chosen response first."""
    return [passage for pair in pairs for passage in pair.passages]
