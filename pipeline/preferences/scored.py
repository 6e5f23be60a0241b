"""A pair as DPO reads it: in token ids, and with the log-probs of both responses under the frozen reference."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from transformers import PreTrainedTokenizerBase

from pipeline.data.records import read_records
from pipeline.data.tokens import TokenizedExample, tokenize_example
from pipeline.preferences.pair import SIDES, PreferencePair


class TokenizedRecord(TypedDict):
    """A row of artifacts/inputs/dpo/validation.jsonl."""

    id: str
    chosen_prompt_ids: list[int]
    chosen_response_ids: list[int]
    rejected_prompt_ids: list[int]
    rejected_response_ids: list[int]


class ScoredRecord(TokenizedRecord):
    """A row of artifacts/inputs/dpo/pairs.jsonl."""

    ref_chosen_logps: float
    ref_rejected_logps: float


@dataclass(frozen=True)
class TokenizedPair:
    """A pair in token ids; both examples hold the prompt."""

    id: str
    chosen: TokenizedExample
    rejected: TokenizedExample

    def __len__(self) -> int:
        return len(self.chosen) + len(self.rejected)

    def as_record(self) -> TokenizedRecord:
        """The row of a pair in artifacts/inputs/dpo/validation.jsonl."""
        return {
            "id": self.id,
            "chosen_prompt_ids": self.chosen.prompt_ids,
            "chosen_response_ids": self.chosen.response_ids,
            "rejected_prompt_ids": self.rejected.prompt_ids,
            "rejected_response_ids": self.rejected.response_ids,
        }

    def scored(self, chosen_logps: float, rejected_logps: float) -> "ScoredPair":
        """The pair with the summed log-probs (nats) of its responses under the frozen reference."""
        return ScoredPair(self.id, self.chosen, self.rejected, chosen_logps, rejected_logps)


@dataclass(frozen=True)
class ScoredPair(TokenizedPair):
    """A pair with the summed log-probs (nats) of both responses under the frozen reference."""

    ref_chosen_logps: float
    ref_rejected_logps: float

    def as_record(self) -> ScoredRecord:
        """The row of a pair in artifacts/inputs/dpo/pairs.jsonl."""
        return {
            **super().as_record(),
            "ref_chosen_logps": self.ref_chosen_logps,
            "ref_rejected_logps": self.ref_rejected_logps,
        }


def read_tokenized_pairs(path: Path) -> list[TokenizedPair]:
    """The pairs of a file whose rows `TokenizedPair.as_record` gave.

    Raises:
        PipelineError: a line is no such pair; the error names file and line.
    """
    return [_pair_of(row) for row in read_records(path, fields=tuple(TokenizedRecord.__annotations__))]


def read_scored_pairs(path: Path) -> list[ScoredPair]:
    """The pairs of a file whose rows `ScoredPair.as_record` gave.

    Raises:
        PipelineError: a line is no such pair; the error names file and line.
    """
    return [
        _pair_of(row).scored(row["ref_chosen_logps"], row["ref_rejected_logps"])
        for row in read_records(path, fields=tuple(ScoredRecord.__annotations__))
    ]


def _pair_of(row: Mapping[str, Any]) -> TokenizedPair:
    return TokenizedPair(
        row["id"],
        TokenizedExample(row["chosen_prompt_ids"], row["chosen_response_ids"]),
        TokenizedExample(row["rejected_prompt_ids"], row["rejected_response_ids"]),
    )


def tokenize_pairs(
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[PreferencePair],
    *,
    end_of_turn: str | None,
    stop_ids: Collection[int],
    max_length: int,
) -> list[TokenizedPair]:
    """The pairs of which both responses, with the prompt, have at most `max_length` tokens; the others are left out.

    Args:
        end_of_turn, stop_ids: as of `tokenize_example`.
    """
    kept = []
    for pair in pairs:
        chosen, rejected = (
            tokenize_example(
                tokenizer, pair.prompt, response.text, ended=response.ended, end_of_turn=end_of_turn, stop_ids=stop_ids
            )
            for response in map(pair.response, SIDES)
        )
        if max(len(chosen), len(rejected)) <= max_length:
            kept.append(TokenizedPair(pair.id, chosen, rejected))
    return kept


def without_equal(pairs: Iterable[TokenizedPair]) -> list[TokenizedPair]:
    """The pairs whose responses differ in tokens: some tokenizers drop the characters in which two texts differ."""
    return [pair for pair in pairs if pair.chosen != pair.rejected]


def scored_records(pairs: Sequence[TokenizedPair], logps: Sequence[float]) -> list[ScoredRecord]:
    """Records of the pairs with their log-probs.

    Args:
        logps: of the chosen and the rejected response of each pair in turn, (2 * len(pairs),), in nats.
    """
    return [pair.scored(logps[2 * at], logps[2 * at + 1]).as_record() for at, pair in enumerate(pairs)]
