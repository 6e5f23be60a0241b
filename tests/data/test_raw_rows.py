"""Vote files of several annotators are counted together, and every row keeps its place."""

from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.data.preparation import prepare
from pipeline.data.raw_rows import RawRows
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.preferences.given import given_records
from tests.tiny_models import changed


@pytest.fixture
def data(params: Params) -> Data:
    columns = {name: name for name in ("prompt", "response_a", "response_b", "annotator", "item")}
    named = changed(params.data.columns, **columns, winner=["winner"], text=None, label=None)
    splits = {name: float(name == "train") for name in params.data.splits.model_dump()}
    limits = dict.fromkeys(splits, 0)
    return params.data.model_copy(
        update={
            "format": "comparisons",
            "columns": named,
            "splits": changed(params.data.splits, **splits),
            "limits": changed(params.data.limits, **limits),
        }
    )


def votes(name: str, data: Data, winners: Sequence[str], *, share: float = 1.0) -> RawRows:
    """Of one annotator on the same items."""
    rows: list[dict[str, Any]] = [
        {"prompt": f"P{item}", "response_a": "x", "response_b": "y", "winner.0": winner}
        | {"annotator": name, "item": str(item)}
        for item, winner in enumerate(winners)
    ]
    return RawRows(f"{name}.jsonl", rows, data, share)


def test_the_majority_of_all_files_decides(data: Data) -> None:
    files = [votes("ann", data, "aab"), votes("bob", data, "bb"), votes("cy", data, "ab")]
    prepared = prepare(files, seed=0)
    pairs = {pair["prompt"]: (pair["chosen"], pair["rejected"]) for pair in given_records(prepared.paired)}
    assert pairs == {"P0": ("x", "y"), "P1": ("y", "x"), "P2": ("y", "x")}
    origins = {pair["prompt"]: pair["origin"] for pair in given_records(prepared.paired)}
    assert origins["P1"] == {"file": "ann.jsonl, bob.jsonl, cy.jsonl", "rows": [2, 2, 2]}
    assert origins["P2"] == {"file": "ann.jsonl", "rows": [3]}
    assert [(fate["source"], fate["row"]) for fate in prepared.fates] == [
        ("ann.jsonl", 1), ("ann.jsonl", 2), ("ann.jsonl", 3), ("bob.jsonl", 1), ("bob.jsonl", 2),
        ("cy.jsonl", 1), ("cy.jsonl", 2),
    ]  # fmt: skip
    assert prepared.counts["used.train"] == 7
    assert {name: counts.total() for name, counts in prepared.rows_of.items()} == {
        "ann.jsonl": 3, "bob.jsonl": 2, "cy.jsonl": 2,
    }  # fmt: skip
    assert sorted(len(found) for found in prepared.votes) == [1, 3, 3]


def test_files_of_another_share_or_shape_stay_apart(data: Data) -> None:
    pairs = [{"prompt": "P9", "chosen": "x", "rejected": "y"}]
    shape = data.model_copy(update={"format": "preference_pairs"})
    files = [votes("ann", data, "a"), RawRows("pairs", pairs, shape), votes("bob", data, "b", share=0.999999)]
    prepared = prepare(files, seed=0)
    assert sorted((pair["prompt"], pair["chosen"]) for pair in given_records(prepared.paired)) == [
        ("P0", "x"), ("P0", "y"), ("P9", "x"),
    ]  # fmt: skip
    assert {fate["source"] for fate in prepared.fates} == {"ann.jsonl", "pairs", "bob.jsonl"}
