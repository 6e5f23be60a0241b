"""A pair as DPO reads it: token ids, and the log-probs of both responses under the frozen reference."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from transformers import PreTrainedTokenizerBase

from pipeline.data.records import read_records
from pipeline.data.tokens import TokenizedExample, tokenize_example
from pipeline.preferences.pair import SIDES, PreferencePair


class ScoredRecord(TypedDict):
    """A row of artifacts/inputs/dpo/pairs.jsonl."""

    id: str
    chosen_prompt_ids: list[int]
    chosen_response_ids: list[int]
    rejected_prompt_ids: list[int]
    rejected_response_ids: list[int]
    ref_chosen_logps: float
    ref_rejected_logps: float


@dataclass(frozen=True)
class ScoredPair:
    """A pair as token ids, with the summed log-probs (nats) of both responses under the frozen reference."""

    chosen: TokenizedExample
    rejected: TokenizedExample
    ref_chosen_logps: float
    ref_rejected_logps: float

    def __len__(self) -> int:
        return len(self.chosen) + len(self.rejected)

    def as_record(self, identity: str) -> ScoredRecord:
        """For the disk, with the id of its pair."""
        return {
            "id": identity,
            "chosen_prompt_ids": self.chosen.prompt_ids,
            "chosen_response_ids": self.chosen.response_ids,
            "rejected_prompt_ids": self.rejected.prompt_ids,
            "rejected_response_ids": self.rejected.response_ids,
            "ref_chosen_logps": self.ref_chosen_logps,
            "ref_rejected_logps": self.ref_rejected_logps,
        }


def read_scored_pairs(path: Path) -> list[ScoredPair]:
    """The pairs of a file whose rows `ScoredPair.as_record` gave.

    Raises:
        PipelineError: naming file and line of what is none.
    """
    return [
        ScoredPair(
            TokenizedExample(row["chosen_prompt_ids"], row["chosen_response_ids"]),
            TokenizedExample(row["rejected_prompt_ids"], row["rejected_response_ids"]),
            row["ref_chosen_logps"],
            row["ref_rejected_logps"],
        )
        for row in read_records(path, fields=tuple(ScoredRecord.__annotations__))
    ]


def tokenize_pair(
    tokenizer: PreTrainedTokenizerBase, pair: PreferencePair, *, end_of_turn: str | None, stop_ids: Collection[int]
) -> tuple[TokenizedExample, TokenizedExample]:
    """Prompt and response as ids: with the chosen response, and with the rejected one.

    Args:
        end_of_turn, stop_ids: as of `tokenize_example`.
    """
    chosen, rejected = (
        tokenize_example(
            tokenizer, pair.prompt, response.text, ended=response.ended, end_of_turn=end_of_turn, stop_ids=stop_ids
        )
        for response in map(pair.response, SIDES)
    )
    return chosen, rejected
