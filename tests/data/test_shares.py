"""What the source is decides the shares that params.yaml leaves open, and a use without a share learns from train."""

from typing import Any

import pytest

from pipeline.data.preparation import PreparedData, prepare
from pipeline.data.raw_rows import RawRows
from pipeline.data.shares import fill_shares
from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.preferences.given import given_records
from tests.tiny_models import changed

EMBEDDED = {"judge": 0.6, "sft": 0.2, "train": 0.12, "validation": 0.02, "test": 0.03, "evaluation": 0.03}
OPEN: dict[str, Any] = dict.fromkeys(EMBEDDED)


def filled(params: Params, form: str, *, rows: int, **splits: float) -> Data:
    data = changed(params.data, format=form, splits=OPEN | splits, limits=OPEN)
    (found,) = fill_shares([data], rows=rows)
    return found


def prepared(params: Params, form: str, rows: list[dict[str, Any]], **splits: float) -> PreparedData:
    return prepare([RawRows("rows", rows, filled(params, form, rows=len(rows), **splits))], seed=0)


def pairs(count: int) -> list[dict[str, str]]:
    return [{"prompt": f"Question {at}?", "chosen": f" Yes, {at}.", "rejected": f" No, {at}."} for at in range(count)]


def test_the_repository_leaves_them_open_and_labelled_texts_get_what_a_judge_needs(params: Params) -> None:
    assert set(params.data.splits.model_dump().values()) == {None}
    (found,) = fill_shares([params.data], rows=33_530)
    assert found.splits.model_dump() == EMBEDDED
    assert found.limits.model_dump() == {
        "judge": 0, "sft": 384, "train": 448, "validation": 64, "test": 192, "evaluation": 192,
    }  # fmt: skip


@pytest.mark.parametrize("rows", [40, 500, 20_000, 1_000_000])
def test_given_pairs_are_trained_and_measured_on(params: Params, rows: int) -> None:
    found = filled(params, "preference_pairs", rows=rows)
    shares = found.splits.model_dump()
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["judge"] == shares["sft"] == 0
    assert set(found.limits.model_dump().values()) == {0}
    assert shares["train"] >= 0.6
    # more held-out prompts than these make every run longer, and no interval much narrower
    assert rows * shares["test"] <= 4_000 and rows * shares["evaluation"] <= 1_000


def test_five_hundred_pairs_leave_a_useful_test_set(params: Params) -> None:
    found = prepared(params, "preference_pairs", pairs(500))
    split = {
        name: sum(pair["split"] == name for pair in given_records(found.paired))
        for name in ("train", "validation", "test")
    }
    assert split["train"] > 300 and split["validation"] >= 16 and split["test"] >= 60
    assert sum(split.values()) + len(found.prompts["evaluation"]) == 500


def test_the_chosen_responses_of_the_train_split_serve_as_texts_and_its_labels_the_judge(params: Params) -> None:
    rows = pairs(60)
    rows.append({**rows[0], "rejected": " Nobody knows."})  # the same chosen response once more
    found = prepared(params, "preference_pairs", rows)
    train = [pair for pair in given_records(found.paired) if pair["split"] == "train"]
    assert {(row["prompt"], row["response"]) for row in found.texts["train"]} == {
        (pair["prompt"], pair["chosen"]) for pair in train
    }
    assert len(found.texts["train"]) == len({pair["prompt"] for pair in train})
    for name, split in (("train", "train"), ("test", "test")):
        labelled = {(row["text"], row["label"]) for row in found.labels[name]}
        mine = [pair for pair in given_records(found.paired) if pair["split"] == split]
        wanted = {(pair["prompt"] + pair["chosen"], 1) for pair in mine}
        assert labelled == wanted | {(pair["prompt"] + pair["rejected"], 0) for pair in mine}


def test_a_named_share_stays_and_the_others_divide_the_rest(params: Params) -> None:
    shares = filled(params, "preference_pairs", rows=500, test=0.3).splits.model_dump()
    usual = filled(params, "preference_pairs", rows=500).splits.model_dump()
    assert shares["test"] == 0.3 and sum(shares.values()) == pytest.approx(1.0)
    assert shares["train"] / shares["evaluation"] == pytest.approx(usual["train"] / usual["evaluation"])
    own_judge = prepared(params, "preference_pairs", pairs(200), judge=0.3, sft=0.2)
    trained = {row["prompt"] for row in own_judge.prompts["train"]}
    assert not trained & {row["prompt"] for row in own_judge.texts["train"]}
    assert own_judge.labels["train"] and own_judge.labels["test"]


def test_a_rest_that_nobody_takes_is_refused(params: Params) -> None:
    named = {"train": 0.5, "validation": 0.1, "test": 0.1, "evaluation": 0.1}
    with pytest.raises(PipelineError, match=r"data\.splits: the shares add up to 0\.8"):
        filled(params, "preference_pairs", rows=500, **named)


def test_prompts_alone_give_neither_labels_nor_texts(params: Params) -> None:
    found = prepared(params, "prompts", [{"prompt": f"Question {at}?"} for at in range(80)])
    assert all(found.prompts.values())
    assert not any([*found.labels.values(), *found.texts.values()])
