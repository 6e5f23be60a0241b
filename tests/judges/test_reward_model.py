"""A reward model as the judge: it compares by raw scores, and shows them on a scale of its own."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.data.passages import Passage
from pipeline.judges.loading import load_judge
from pipeline.judges.pointwise import PointwiseJudge
from pipeline.judges.reward_model import MODEL, load_reward_judge, save_reward_judge
from pipeline.models.compute import Compute
from pipeline.models.reward_loading import create_reward_model, load_reward_model
from pipeline.params.schema import Params
from tests.passages import cut, ended
from tests.tiny_models import SENTENCES


@pytest.fixture
def judge_folder(request: pytest.FixtureRequest, tmp_path: Path, compute: Compute) -> Path:
    backbone: Path = request.getfixturevalue(request.param)
    model = create_reward_model(backbone, compute, max_length=48, seed=0)
    model.shift(-1000.0)  # a bought model's scores may be anywhere
    model.save(tmp_path / "judge" / MODEL)
    return tmp_path / "judge"


@pytest.mark.parametrize("judge_folder", ["encoder_folder", "decoder_folder"], indirect=True)
def test_it_compares_by_raw_scores_and_shows_them_by_the_stated_rule(
    judge_folder: Path, compute: Compute, params: Params, tmp_path: Path
) -> None:
    save_reward_judge(judge_folder, compute, ended(SENTENCES), batch_size=2)
    judge = load_judge(judge_folder, compute, endpoint=params.judge.endpoint, store=tmp_path)
    model = load_reward_model(judge_folder / MODEL, compute)
    raw = np.array([model.score([text], batch_size=1).item() for text in ended(SENTENCES)])
    assert raw.min() > 900
    shown = judge.rate([""] * len(raw), ended(SENTENCES), ended(SENTENCES))
    assert shown == pytest.approx(1 / (1 + np.exp(-(raw - raw.mean()) / raw.std())), abs=2e-3)
    assert 0.05 < shown.min() < 0.5 < shown.max() < 0.95
    first, second = ended(SENTENCES[:3]), ended(SENTENCES[3:])
    assert judge.compare([""] * 3, first, second).tolist() == (raw[:3] > raw[3:]).astype(float).tolist()
    assert judge.compare(["A "] * 2, ended("xy"), ended("xy")).tolist() == [0.5, 0.5]
    ranks = judge.rank(["", ""], [first, second])
    assert ranks.shape == (2, 3) and ranks.ravel() == pytest.approx(shown)
    assert judge.counts() == {} and judge.verdicts() == []


@pytest.mark.parametrize("judge_folder", ["encoder_folder"], indirect=True)
def test_without_texts_the_scale_is_the_bare_sigmoid(judge_folder: Path, compute: Compute) -> None:
    save_reward_judge(judge_folder, compute, [], batch_size=2)
    facts = json.loads((judge_folder / "judge.json").read_text())
    assert facts == {"kind": "reward_model", "mean": 0.0, "std": 1.0, "batch_size": 2}
    raw = load_reward_model(judge_folder / MODEL, compute).score(ended(["dull"]), batch_size=1)
    judge = load_reward_judge(judge_folder, compute)
    assert judge.score(ended(["dull"])).tolist() == torch.sigmoid(raw.double()).tolist()


def test_a_text_that_is_compared_with_itself_is_scored_once() -> None:
    calls: list[list[Passage]] = []

    def noisy(texts: list[Passage]) -> np.ndarray:
        calls.append(list(texts))
        return np.arange(len(texts)) + 1e-9 * len(calls)

    judge = PointwiseJudge(noisy)  # type: ignore[arg-type]
    assert judge.compare(["P", "P", "Q"], ended("aba"), ended("aab")).tolist() == [0.5, 1.0, 0.0]
    assert calls == [ended(["Pa", "Pb", "Qa", "Qb"])]


@pytest.mark.parametrize("judge_folder", ["encoder_folder", "decoder_folder"], indirect=True)
def test_it_sees_that_a_response_was_cut(judge_folder: Path, compute: Compute) -> None:
    judge = save_reward_judge(judge_folder, compute, ended(SENTENCES), batch_size=2)
    whole, broken = ended(SENTENCES), cut(SENTENCES)
    rates = [judge.rate(["A "] * len(side), side, side) for side in (whole, broken)]
    assert (np.abs(rates[0] - rates[1]) > 1e-3).all()
    preferences = judge.compare(["A "] * len(whole), whole, broken)
    assert preferences.tolist() == (rates[0] > rates[1]).astype(float).tolist()
