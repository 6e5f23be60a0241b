"""Pairs as DPO reads them: what is too long is left out, and each log-prob stays with its response."""

from transformers import PreTrainedTokenizerBase

from pipeline.training.reference_pairs import reference_pairs, tokenize_pairs

TEXTS = {
    "short": (" is fun", " is dull"),
    "long chosen": (" is fun" * 20, " is dull"),
    "long rejected": (" is fun", " is dull" * 20),
    "last": (" was fun", " was dull"),
}
ENDED = {"chosen_ended": True, "rejected_ended": False}
ROWS = [
    {"id": name, "prompt": "This", "chosen": chosen, "rejected": rejected, **ENDED}
    for name, (chosen, rejected) in TEXTS.items()
]


def test_a_pair_with_a_response_that_is_too_long_is_left_out(tokenizer: PreTrainedTokenizerBase) -> None:
    pairs = tokenize_pairs(ROWS, tokenizer, end_of_turn=None, stop_ids=(), max_length=20)
    assert [name for name, *_ in pairs] == ["short", "last"]
    longest = max(len(side) for _, *sides in pairs for side in sides)
    assert len(tokenize_pairs(ROWS, tokenizer, end_of_turn=None, stop_ids=(), max_length=longest)) == 2
    assert len(tokenize_pairs(ROWS, tokenizer, end_of_turn=None, stop_ids=(), max_length=longest - 1)) < 2


def test_records_have_the_log_probs_of_their_own_responses(tokenizer: PreTrainedTokenizerBase) -> None:
    pairs = tokenize_pairs(ROWS, tokenizer, end_of_turn=None, stop_ids=(), max_length=20)
    first, second = reference_pairs(pairs, [-1.0, -2.0, -3.0, -4.0])
    assert (first["ref_chosen_logps"], first["ref_rejected_logps"]) == (-1.0, -2.0)
    assert (second["id"], second["ref_chosen_logps"], second["ref_rejected_logps"]) == ("last", -3.0, -4.0)
    _, chosen, rejected = pairs[1]
    assert (second["chosen_response_ids"], second["rejected_response_ids"]) == (
        chosen.response_ids,
        rejected.response_ids,
    )
    assert second["chosen_response_ids"][-1] == tokenizer.eos_token_id != second["rejected_response_ids"][-1]
