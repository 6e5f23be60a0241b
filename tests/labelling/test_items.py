"""What is voted on, and in which order."""

from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.labelling.items import Item, load_items
from tests.labelling.serving import ITEMS, write_items


def test_all_annotators_share_one_order_that_is_not_that_of_the_file(tmp_path: Path) -> None:
    path = write_items(tmp_path / "items.jsonl")
    ids = [item.id for item in load_items(path, tmp_path, seed=0)]
    assert sorted(ids) == [row["id"] for row in ITEMS] and ids != sorted(ids)
    assert ids == [item.id for item in load_items(write_items(path, ITEMS[::-1]), tmp_path, seed=0)]
    assert ids != [item.id for item in load_items(path, tmp_path, seed=1)]


def test_who_sees_what_first_is_a_coin_for_each_annotator_and_item() -> None:
    items = [Item(f"i{number}", "P", ("a", "b")) for number in range(1000)]
    ann, bob = ([item.order_for(name, 0) for item in items] for name in ("ann", "bob"))
    assert ann == [item.order_for("ann", 0) for item in items]
    # five standard deviations of 1000 fair coins are 79
    assert abs(ann.count("ba") - 500) < 80
    assert abs(sum(one == other for one, other in zip(ann, bob, strict=True)) - 500) < 80


def test_other_names_and_rows_without_an_id(tmp_path: Path) -> None:
    rows = [{"prompt": "P", "response_a": " x", "response_b": " y"}, {"id": 7, **ITEMS[0], "prompt": "Q"}]
    items = {item.prompt: item for item in load_items(write_items(tmp_path / "i.jsonl", rows), tmp_path, seed=0)}
    assert items["P"].responses == (" x", " y") and items["P"].ended == (True, True) and len(items["P"].id) == 16
    assert items["Q"].responses == (" good 0", " bad 0") and items["Q"].ended == (False, True)


def test_pairs_that_were_made_of_votes_give_the_items_that_the_votes_are_on(tmp_path: Path) -> None:
    shown = {"prompt": "P", "response_a": " second", "response_b": " first", "response_b_ended": False}
    line = {**shown, "item": "i", "order": "ba", "winner": "skip", "annotator": "ann"}
    write_items(tmp_path / "labels/ann.jsonl", [line])
    raw = write_items(tmp_path / "raw.jsonl", [{**ITEMS[0], "source": "labelled"}])
    assert load_items(raw, tmp_path / "labels", seed=0) == [Item("i", "P", (" first", " second"), (False, True))]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no rows"),
        ([{"prompt": "P", "chosen": "a"}], "line 1: rejected is not a text"),
        ([ITEMS[0], {"prompt": 3, "chosen": "a", "rejected": "b"}], "line 2: prompt"),
    ],
)
def test_a_file_that_cannot_be_voted_on_says_why(rows: list[dict[str, str]], words: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=words):
        load_items(write_items(tmp_path / "i.jsonl", rows), tmp_path, seed=0)


def test_a_missing_file_names_what_builds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match="make repro"):
        load_items(Path("artifacts/preferences/raw.jsonl"), tmp_path, seed=0)
