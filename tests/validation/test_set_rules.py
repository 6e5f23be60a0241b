"""Rules about several pairs: duplicates, contradictions, prompts in two splits."""

from tests.validation.planted import pair, reasons_among_good


def test_duplicate_id_keeps_the_first_row() -> None:
    rows = [pair(1), pair(2, id="id-1"), pair(3), pair(4, id="id-1")]
    assert reasons_among_good(*rows) == {1: ["duplicate_id"], 3: ["duplicate_id"]}


def test_duplicate_pair_keeps_the_first_row() -> None:
    first = pair(1, prompt="The caf\u00e9 is", chosen="  good film ")
    again = first | {"id": "id-2", "prompt": " The  cafe\u0301 is", "chosen": "good film"}
    assert reasons_among_good(first, again, pair(3)) == {1: ["duplicate_pair"]}


def test_a_row_twice_is_a_duplicate_by_id_and_by_pair() -> None:
    assert reasons_among_good(pair(1), pair(1)) == {1: ["duplicate_id", "duplicate_pair"]}


def test_one_prompt_may_have_many_pairs() -> None:
    assert reasons_among_good(pair(1), pair(1) | {"id": "id-2", "rejected": " another bore."}) == {}


def test_contradictory_pair_quarantines_both_directions() -> None:
    row = pair(1)
    turned = row | {"id": "id-2", "chosen": row["rejected"], "rejected": row["chosen"] + " "}
    assert reasons_among_good(row, pair(3), turned) == {0: ["contradictory_pair"], 2: ["contradictory_pair"]}


def test_contradiction_across_splits_quarantines_both() -> None:
    row = pair(1, split="train")
    turned = row | {"id": "id-2", "split": "test", "chosen": row["rejected"], "rejected": row["chosen"]}
    assert reasons_among_good(row, turned) == {0: ["contradictory_pair"], 1: ["contradictory_pair"]}


def test_split_leakage_keeps_what_is_held_out_furthest() -> None:
    train = pair(1, split="train", prompt="the FILM  is")
    validation = pair(2, split="validation", prompt="The film is")
    test = pair(3, split="test", prompt=" The film is")
    assert reasons_among_good(train, validation, test) == {0: ["split_leakage"], 1: ["split_leakage"]}
    assert reasons_among_good(validation, train) == {1: ["split_leakage"]}


def test_a_copy_in_train_does_not_push_out_the_test_pair() -> None:
    row = pair(1, split="train")
    assert reasons_among_good(row, row | {"split": "test"}) == {0: ["split_leakage"]}


def test_a_refused_row_makes_no_other_a_duplicate_or_a_leak() -> None:
    refused = pair(1, split="test", margin=-1.0)
    assert reasons_among_good(refused, pair(1, split="train")) == {0: ["negative_margin"]}
