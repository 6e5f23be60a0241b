"""Records whose texts are on disk."""

import tracemalloc
from pathlib import Path
from typing import Any

from pipeline.data.record_store import Has, RecordStore
from pipeline.data.records import fold, key_of, record_id


def record(number: int, **known: Any) -> dict[str, Any]:
    prompt = f"Question {number}?"
    return {"id": record_id(prompt), "prompt": prompt, "places": [("a.jsonl", number)], **known}


def filled(*records: dict[str, Any], folder: Path | None = None) -> RecordStore:
    store = RecordStore(folder)
    for number, one in enumerate(records):
        assert store.add(one, hashed=number / 10, folded=fold(one["prompt"])) == number
    return store


def test_records_come_back_in_any_order_also_while_more_are_added() -> None:
    records = [record(number, response=" é\ud800" * number) for number in range(5)]
    store = filled(*records[:3])
    assert [store[number] for number in (2, 0, 1, 1)] == [records[number] for number in (2, 0, 1, 1)]
    for one in records[3:]:
        store.add(one, hashed=0.5, folded="")
    assert [store[number] for number in (4, 3, 0)] == [records[number] for number in (4, 3, 0)] and len(store) == 5


def test_the_numbers_tell_of_the_records_what_their_texts_would() -> None:
    pair = {"chosen": "yes", "rejected": " no", "response": "yes"}
    store = filled(record(1, text="t", label=1), record(2, **pair), record(1, **pair, short=True))
    kinds = [Has.TEXT | Has.LABEL, Has.PAIR | Has.RESPONSE | Has.GLUED]
    assert store.has.tolist() == [*kinds, kinds[1] | Has.SHORT]
    assert store.hashes.tolist() == [0.0, 0.1, 0.2]
    assert store.prompts[0] == store.prompts[2] == key_of("Question 1?") != store.prompts[1]
    assert store.folded[0] == key_of("question 1?")
    assert store.texts.tolist() == [0, key_of("Question 2?", "yes"), key_of("Question 1?", "yes")]
    assert [store.identity(number) for number in range(3)] == [store[number]["id"] for number in range(3)]
    assert all(int(number) == int(store[at]["id"], 16) for at, number in enumerate(store.ids))


def test_places_are_kept_also_where_a_record_is_of_several_rows() -> None:
    several = [("b.jsonl", 7), ("a.jsonl", 2)]
    store = filled(record(4), {**record(5), "places": several})
    assert store.places(0) == [("a.jsonl", 4)] and store.places(1) == several


def test_texts_are_not_in_memory_and_leave_no_file(tmp_path: Path) -> None:
    count = 2_000

    tracemalloc.start()
    store = filled(*(), folder=tmp_path)
    for number in range(count):
        store.add(record(number, response="word " * 2_000), hashed=0.5, folded="x")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2 * 2**20 + 200 * count < count * 10_000 / 4, "the texts are 20 MB"
    assert not list(tmp_path.iterdir()), "the file has no name"
    assert store[count - 1]["prompt"] == f"Question {count - 1}?"
