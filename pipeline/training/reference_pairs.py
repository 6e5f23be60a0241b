"""Pairs as DPO reads them: token ids of both responses, with their log-probs under the frozen reference."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import TokenizedExample, tokenize_example

_SIDES = ("chosen", "rejected")
TokenizedPair = tuple[str, TokenizedExample, TokenizedExample]
"""The id of a pair, its chosen and its rejected response."""


def tokenize_pairs(
    rows: Sequence[Mapping[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    end_of_turn: str | None,
    stop_ids: Collection[int],
    max_length: int,
) -> list[TokenizedPair]:
    """The pairs of which both responses, with the prompt, have at most `max_length` tokens; the others are left out.

    Args:
        rows: records of accepted pairs.
        end_of_turn, stop_ids: as of `tokenize_example`.
    """
    pairs = []
    for row in rows:
        chosen, rejected = (
            tokenize_example(
                tokenizer,
                row["prompt"],
                row[side],
                ended=row[f"{side}_ended"],
                end_of_turn=end_of_turn,
                stop_ids=stop_ids,
            )
            for side in _SIDES
        )
        if max(len(chosen), len(rejected)) <= max_length:
            pairs.append((row["id"], chosen, rejected))
    return pairs


def reference_pairs(pairs: Sequence[TokenizedPair], logps: Sequence[float]) -> list[dict[str, Any]]:
    """Records of the table `reference_pairs`.

    Args:
        logps: of the chosen and the rejected response of each pair in turn, (2 * len(pairs),), in nats.
    """
    return [
        {
            "id": pair_id,
            "chosen_prompt_ids": chosen.prompt_ids,
            "rejected_prompt_ids": rejected.prompt_ids,
            "chosen_response_ids": chosen.response_ids,
            "rejected_response_ids": rejected.response_ids,
            "ref_chosen_logps": logps[2 * at],
            "ref_rejected_logps": logps[2 * at + 1],
        }
        for at, (pair_id, chosen, rejected) in enumerate(pairs)
    ]
