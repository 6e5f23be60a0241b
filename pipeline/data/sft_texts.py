"""Rows of artifacts/data/texts as SFT reads them: which turns it learns, and whether it trains at all."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from pipeline.data.records import JsonObject
from pipeline.data.tokens import TokenizedExample, cut_response, tokenize_example, tokenize_turns
from pipeline.errors import PipelineError
from pipeline.reading.chats import ASSISTANT_TURN


def sft_examples(
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[JsonObject],
    *,
    turns: Literal["last", "all"],
    end_of_turn: str | None,
) -> list[TokenizedExample]:
    """Tokenise the rows, each with the turns that are learned.

    Args:
        rows: rows of artifacts/data/texts, see `TextRow`.
        turns: which turns of the assistant are learned: the last one, which is the response, or all.
        end_of_turn: the token that ends a turn in the chat template that wrote the texts; None where none did.

    Raises:
        PipelineError: all turns are to be learned, and for a row it cannot be told which parts the assistant wrote.
    """
    if turns == "last":
        return [
            tokenize_example(tokenizer, row["prompt"], row["response"], ended=row["ended"], end_of_turn=end_of_turn)
            for row in rows
        ]
    return [
        tokenize_turns(
            tokenizer,
            row["prompt"],
            _turns(row, end_of_turn),
            row["response"],
            ended=row["ended"],
            end_of_turn=end_of_turn,
        )
        for row in rows
    ]


def cut_responses(examples: Sequence[TokenizedExample], max_length: int) -> tuple[list[TokenizedExample], int]:
    """Cut each response so that it has at most `max_length` tokens with its prompt, see `cut_response`.

    Returns:
        All examples, and how many of them were cut.
    """
    longer = sum(len(example) > max_length for example in examples)
    return [cut_response(example, max_length) for example in examples], longer


def why_lost(row: Mapping[str, Any], end_of_turn: str | None) -> str | None:
    """Why the earlier answers of a row cannot be learned; None where they can.

    Args:
        row, end_of_turn: see `sft_examples`.
    """
    if lost := row.get("turns_lost"):
        return str(lost)
    if end_of_turn is None and row["prompt"].count(ASSISTANT_TURN) > 1:
        return "in a transcript no token ends an answer that is followed by another turn"
    return None


def _turns(row: JsonObject, end_of_turn: str | None) -> list[list[int]]:
    if lost := why_lost(row, end_of_turn):
        raise PipelineError(
            f"train_sft.turns is all, and the earlier answers of text {row['id']} cannot be learned: {lost}. Set "
            "train_sft.turns to last, or take a policy (or models.policy.chat_template) whose template keeps what it "
            "has written."
        )
    found: list[list[int]] = row.get("turns", [])
    return found


def why_untrained(
    rows: Sequence[Mapping[str, object]],
    template: str | None,
    skip: Literal["auto"] | bool,
    *,
    template_is_its_own: bool,
) -> str | None:
    """Why a policy goes on without SFT, for people; None where it is trained.

    Args:
        rows: rows of artifacts/data/texts, see `TextRow`.
        template: the hash of the chat template that wrote the texts; None where none did.
        skip: `train_sft.skip`.
        template_is_its_own: the policy brought its chat template; a base model gets one by models.policy.chat_template.
    """
    if not rows:
        return "the data has prompts alone"
    if skip is True:
        return "train_sft.skip is true"
    if skip == "auto" and template and template_is_its_own and all(row.get("preferred") for row in rows):
        return (
            "train_sft.skip is auto, the policy brings a chat template, and the texts are the chosen answers of pairs"
        )
    return None
