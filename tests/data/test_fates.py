"""What became of raw rows."""

from pipeline.data.fates import Fates


def test_fates_come_by_source_and_row_and_are_counted() -> None:
    fates = Fates()
    fates.note([("b", 2), ("a", 3)], 0xFF, "used.train")
    fates.note([("a", 1)], None, "dropped.empty_text", "None")
    fates.note([("b", 2)], 0xFFFFFFFFFFFFFF00, "unused.train")
    assert list(fates.in_order(["a", "b", "never read"])) == [
        {"source": "a", "row": 1, "id": None, "fate": "dropped.empty_text", "seen": "None"},
        {"source": "a", "row": 3, "id": "00000000000000ff", "fate": "used.train"},
        {"source": "b", "row": 2, "id": "00000000000000ff", "fate": "used.train"},
        {"source": "b", "row": 2, "id": "ffffffffffffff00", "fate": "unused.train"},
    ]
    assert fates.in_order(["b", "a"])[0]["source"] == "b", "sources have an order of their own"
    assert fates.counts == {"used.train": 2, "dropped.empty_text": 1, "unused.train": 1}
    assert fates.by_source["a"] == {"used.train": 1, "dropped.empty_text": 1} and fates.rows == 3


def test_without_rows_there_are_no_fates() -> None:
    assert len(Fates().in_order(["a"])) == 0 and Fates().rows == 0
