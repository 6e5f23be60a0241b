"""Records whose texts are on disk."""

import tracemalloc
from pathlib import Path
from typing import Any

from pipeline.data.raw_rows import Place
from pipeline.data.record_store import Has, Packer, RecordStore
from pipeline.data.records import fold, key_of, record_id


def record(number: int, **known: Any) -> dict[str, Any]:
    prompt = f"Question {number}?"
    return {"id": record_id(prompt), "prompt": prompt, **known}


def fill(store: RecordStore, *records: dict[str, Any], places: list[list[Place]] | None = None) -> RecordStore:
    packer = Packer(store.file)
    for number, one in enumerate(records):
        packer.add(one, hashed=number / 10, folded=fold(one["prompt"]))
    store.extend(packer.table(), places or [[("a.jsonl", number)] for number in range(len(records))])
    return store


def test_records_come_back_in_any_order_also_while_more_are_added() -> None:
    records = [record(number, response=" é\ud800" * number) for number in range(5)]
    kept = [{**one, "places": [("a.jsonl", number)]} for number, one in enumerate(records)]
    store = fill(RecordStore(), *records[:3])
    assert [store[number] for number in (2, 0, 1, 1)] == [kept[number] for number in (2, 0, 1, 1)]
    fill(store, *records[3:], places=[[("a.jsonl", 3)], [("a.jsonl", 4)]])
    assert [store[number] for number in (4, 3, 0)] == [kept[number] for number in (4, 3, 0)] and len(store) == 5


def test_the_numbers_tell_of_the_records_what_their_texts_would() -> None:
    pair = {"chosen": "yes", "rejected": " no", "response": "yes"}
    store = fill(RecordStore(), record(1, text="t", label=1), record(2, **pair), record(1, **pair, short=True))
    numbers = store.numbers
    kinds = [Has.TEXT | Has.LABEL, Has.PAIR | Has.RESPONSE | Has.GLUED]
    assert numbers["has"].tolist() == [*kinds, kinds[1] | Has.SHORT]
    assert numbers["hash"].tolist() == [0.0, 0.1, 0.2]
    assert numbers["prompt"][0] == numbers["prompt"][2] == key_of("Question 1?") != numbers["prompt"][1]
    assert numbers["folded"][0] == key_of("question 1?")
    assert numbers["texts"].tolist() == [0, key_of("Question 2?", "yes"), key_of("Question 1?", "yes")]
    assert [f"{store.identity(number):016x}" for number in range(3)] == [store[number]["id"] for number in range(3)]


def test_places_are_kept_also_where_a_record_is_of_several_rows() -> None:
    several: list[Place] = [("b.jsonl", 7), ("a.jsonl", 2)]
    store = fill(RecordStore(), record(4), record(5), places=[[("a.jsonl", 4)], several])
    assert store.places(0) == [("a.jsonl", 4)] and store.places(1) == store[1]["places"] == several


def test_texts_are_not_in_memory_and_leave_no_file(tmp_path: Path) -> None:
    count = 2_000

    tracemalloc.start()
    store = RecordStore(tmp_path)
    packer = Packer(store.file)
    for number in range(count):
        packer.add(record(number, response="word " * 2_000), hashed=0.5, folded="x")
    store.extend(packer.table(), [[("a.jsonl", number)] for number in range(count)])
    del packer
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2 * 2**20 + 200 * count < count * 10_000 / 4, "the texts are 20 MB"
    assert not list(tmp_path.iterdir()), "the file has no name"
    assert store[count - 1]["prompt"] == f"Question {count - 1}?"
