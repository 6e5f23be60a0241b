"""The stage fit_judge: each kind of judge in artifacts/judge, measured on held-out labels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.data.records import read_records, write_records
from pipeline.errors import PipelineError
from pipeline.judges.loading import load_judge, load_second_judge
from pipeline.judges.text_classifier import TextClassifierJudge, fit_judge, split_labels
from pipeline.models.compute import Compute
from pipeline.models.reward_loading import create_reward_model
from pipeline.models.text_format import TextFormat
from pipeline.params.judge import JudgeEndpoint
from pipeline.params.schema import Params
from stages.fit_judge import main
from tests.judges.fake_endpoint import Fake, serve
from tests.judges.test_chat import stars
from tests.passages import ended
from tests.tiny_models import changed

LIKED, DISLIKED = ("good ***", "fine **", "so *"), ("bad *", "poor", "weak **")


class FakeStage:
    """The parts of a stage that fit_judge uses, in one folder."""

    def __init__(self, root: Path, params: Params, compute: Compute, endpoint: JudgeEndpoint) -> None:
        self.root, self.params, self._compute = root, params, compute
        self.judge_endpoint, self.verdict_store = endpoint, root / "verdicts"
        labelled = [(text, 1) for text in LIKED] + [(text, 0) for text in DISLIKED]
        rows = [{"id": f"{at:016x}", "text": text, "label": label} for at, (text, label) in enumerate(labelled)]
        for name in ("train", "test"):
            write_records(root / f"artifacts/data/labels/{name}.jsonl", rows)
        TextFormat("transcript").write(root / "artifacts/data/text_format.json")
        self.metrics: dict[str, Any] = {}
        self.gate: dict[str, Any] = {}

    def input(self, path: str) -> Path:
        return self.root / path

    output = input

    def start_compute(self) -> Compute:
        return self._compute

    def write_json(self, path: str, value: Any) -> None:
        if path == "reports/judge/gate.json":
            self.gate = value
        else:
            self.metrics = json.loads(json.dumps(value))

    def log_final(self, metrics: Any) -> None:
        assert metrics


def run(root: Path, params: Params, compute: Compute, endpoint: JudgeEndpoint, **judge: Any) -> FakeStage:
    chosen = params.model_copy(update={"judge": changed(params.judge, **judge)})
    stage = FakeStage(root, chosen, compute, endpoint)
    main(stage)  # type: ignore[arg-type]
    return stage


def test_a_chat_model(tmp_path: Path, params: Params, compute: Compute) -> None:
    with serve(Fake(stars)) as fake:
        stage = run(tmp_path, params, compute, fake.settings(), kind="chat", measured_pairs=2)
        # *** against *, ** against nothing; the third pair is not read
        assert stage.metrics["held_out_accuracy"]["mean"] == 1.0
        assert stage.metrics["texts"] == 4 and stage.metrics["verdicts"]["decided"] == 2
        first, _ = read_records(tmp_path / "reports/judge/verdicts.jsonl")
        assert (first["first"], first["second"], first["preference"]) == ("good ***", "bad *", 1.0)
        assert len(fake.requests) == 4
        judge = load_judge(tmp_path / "artifacts/judge", compute, endpoint=fake.settings(), store=stage.verdict_store)
        assert judge.compare(["P"], ended(["a"]), ended(["*"])).tolist() == [0.0]


@pytest.mark.parametrize("backbone", ["encoder_folder", "decoder_folder"])
def test_a_reward_model(
    tmp_path: Path, params: Params, compute: Compute, backbone: str, request: pytest.FixtureRequest
) -> None:
    bought = tmp_path / "bought"
    create_reward_model(request.getfixturevalue(backbone), compute, max_length=48, seed=0).save(bought)
    settings = params.judge.reward_model.model_dump() | {"source": str(bought)}
    stage = run(tmp_path, params, compute, params.judge.endpoint, kind="reward_model", reward_model=settings)
    judge = load_judge(tmp_path / "artifacts/judge", compute, endpoint=params.judge.endpoint, store=stage.verdict_store)
    right = judge.compare([""] * 3, ended(LIKED), ended(DISLIKED))
    assert stage.metrics["held_out_accuracy"]["mean"] == pytest.approx(right.mean())
    assert stage.metrics["texts"] == 6 and "verdicts" not in stage.metrics
    assert read_records(tmp_path / "reports/judge/verdicts.jsonl") == []
    assert str(tmp_path) not in (tmp_path / "artifacts/judge/judge.json").read_text()


def test_a_chat_model_that_prefers_a_position_is_measured(tmp_path: Path, params: Params, compute: Compute) -> None:
    with serve(Fake(lambda messages: "[[B]]")) as fake:
        stage = run(tmp_path, params, compute, fake.settings(), kind="chat", measured_pairs=2)
    assert stage.metrics["verdicts"]["both_second"] == 2 and stage.metrics["verdicts"]["position_bias"] == -1.0


def test_a_classifier_keeps_its_files_and_keys(tmp_path: Path, params: Params, compute: Compute) -> None:
    stage = run(tmp_path, params, compute, params.judge.endpoint)
    assert sorted(path.name for path in (tmp_path / "artifacts/judge").iterdir()) == ["judge.json", "judge.safetensors"]
    each = {"held_out_accuracy", "majority_share", "texts", "kind", "family", "fitted_on", "problem"}
    beside = each | {"agreement", "shared_error_share", "expected_shared_error_share"}
    assert set(stage.metrics) == each | {"evaluation", "second"}
    assert set(stage.metrics["evaluation"]) == beside
    assert set(stage.metrics["second"]) == beside | {"first_accuracy"}


def test_the_judge_that_measures_has_seen_other_labels(tmp_path: Path, params: Params, compute: Compute) -> None:
    stage = run(tmp_path, params, compute, params.judge.endpoint)
    rows = read_records(tmp_path / "artifacts/data/labels/train.jsonl")
    for name, half in zip(("judge", "evaluation_judge"), split_labels(rows), strict=True):
        fitted = fit_judge([row["text"] for row in half], [row["label"] for row in half], params.fit_judge)
        saved = TextClassifierJudge.load(tmp_path / "artifacts" / name)
        assert saved.score(LIKED).tolist() == fitted.score(LIKED).tolist()
    judges = [TextClassifierJudge.load(tmp_path / f"artifacts/{name}") for name in ("judge", "evaluation_judge")]
    sides = [(judge.score([row["text"] for row in rows]) > 0.5).tolist() for judge in judges]
    same = sum(one == other for one, other in zip(*sides, strict=True)) / len(rows)
    assert stage.metrics["evaluation"]["agreement"] == pytest.approx(same)


def test_one_judge_does_both_where_it_is_asked_to(tmp_path: Path, params: Params, compute: Compute) -> None:
    one = params.model_copy(update={"fit_judge": changed(params.fit_judge, independent=False)})
    stage = run(tmp_path, one, compute, params.judge.endpoint)
    files = [tmp_path / f"artifacts/{name}/judge.safetensors" for name in ("judge", "evaluation_judge")]
    assert files[0].read_bytes() == files[1].read_bytes() and "evaluation" not in stage.metrics


def test_too_few_labels_for_two_judges_are_an_error_that_says_what_to_do() -> None:
    rows = [{"id": "02", "text": "good", "label": 1}, {"id": "01", "text": "bad", "label": 0}]
    with pytest.raises(PipelineError, match=r"2 labels are too few .* fit_judge\.independent to false"):
        split_labels(rows)


def test_a_second_judge_of_another_family_is_measured_beside_the_first(
    tmp_path: Path, params: Params, compute: Compute
) -> None:
    """The lexicon knows good, fine, poor and bad, and none of the other words."""
    stage = run(tmp_path, params, compute, params.judge.endpoint)
    second = stage.metrics["second"]
    assert (second["kind"], second["family"]) == ("lexicon", "sentiment lexicon")
    assert "no labels of the data" in second["fitted_on"]
    # of good, fine, so, bad, poor and weak it does not know so
    assert second["held_out_accuracy"]["mean"] == pytest.approx(5.5 / 6)
    assert second["first_accuracy"] == stage.metrics["evaluation"]["held_out_accuracy"]
    judge = load_judge(
        tmp_path / "artifacts/second_judge", compute, endpoint=params.judge.endpoint, store=stage.verdict_store
    )
    scores = judge.rate(["", "", ""], ended(["a good film", "a bad film", "a film"]), ended([""] * 3))
    assert scores[0] > 0.5 > scores[1] and scores[2] == 0.5


def test_without_a_second_judge_nothing_measures_again(tmp_path: Path, params: Params, compute: Compute) -> None:
    stage = run(tmp_path, params, compute, params.judge.endpoint, second="none")
    assert stage.metrics["second"] is None
    folder = tmp_path / "artifacts/second_judge"
    assert load_second_judge(folder, compute, endpoint=params.judge.endpoint, store=stage.verdict_store) is None


def test_judges_that_compare_are_set_beside_each_other_on_pairs(
    tmp_path: Path, params: Params, compute: Compute
) -> None:
    with serve(Fake(stars)) as fake:
        stage = run(tmp_path, params, compute, fake.settings(), second="chat", measured_pairs=2)
        second = stage.metrics["second"]
        assert second["held_out_accuracy"]["mean"] == 1.0 and second["texts"] == 4
        classifier = TextClassifierJudge.load(tmp_path / "artifacts/evaluation_judge")
        sides = np.sign(classifier.score(LIKED[:2]) - classifier.score(DISLIKED[:2]))
        assert second["first_accuracy"]["mean"] == pytest.approx(((1 + sides) / 2).mean())
        assert len(read_records(tmp_path / "reports/judge/verdicts.jsonl")) == 2


def test_a_judge_that_is_no_better_than_a_coin_is_named_and_not_trusted(
    tmp_path: Path, params: Params, compute: Compute, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = run(tmp_path, params, compute, params.judge.endpoint, min_accuracy=1.0, below_min_accuracy="flag")
    assert stage.gate == {"trusted": False}
    assert "below judge.min_accuracy 1" in stage.metrics["evaluation"]["problem"]
    assert "the judge that measures policies is right on" in capsys.readouterr().out


def test_a_judge_that_is_trusted_says_so(tmp_path: Path, params: Params, compute: Compute) -> None:
    both = params.model_copy(update={"fit_judge": changed(params.fit_judge, independent=False)})
    stage = run(tmp_path, both, compute, params.judge.endpoint)
    assert stage.metrics["held_out_accuracy"]["mean"] == 1.0 and stage.gate == {"trusted": True}


def test_labels_of_pairs_are_judged_as_pairs(tmp_path: Path, params: Params, compute: Compute) -> None:
    """What a pair shares, a long prompt, would fill what is read of a single text, and say nothing of either."""
    prompt = " ".join(f"word{at}" for at in range(50))
    rows = [
        {"id": f"{at:016x}", "text": f"{prompt} {word}", "label": label}
        for at in range(8)
        for word, label in (("good", 1), ("bad", 0))
    ]
    both = params.model_copy(update={"fit_judge": changed(params.fit_judge, independent=False)})
    stage = FakeStage(tmp_path, both, compute, params.judge.endpoint)
    for name in ("train", "test"):
        write_records(tmp_path / f"artifacts/data/labels/{name}.jsonl", rows)
    main(stage)  # type: ignore[arg-type]
    assert stage.metrics["held_out_accuracy"]["mean"] == 1.0 and stage.metrics["majority_share"] == 0.5
    assert stage.metrics["second"]["held_out_accuracy"]["mean"] == 1.0 and stage.gate == {"trusted": True}


def test_the_gate_stops_where_it_is_asked_to(tmp_path: Path, params: Params, compute: Compute) -> None:
    with pytest.raises(PipelineError, match=r"below judge\.min_accuracy 1.*judge\.below_min_accuracy to flag"):
        run(tmp_path, params, compute, params.judge.endpoint, min_accuracy=1.0, below_min_accuracy="stop")


def test_two_judges_of_one_family_are_no_two_opinions(params: Params) -> None:
    with pytest.raises(ValidationError, match="another family"):
        changed(params.judge, kind="chat", second="chat")
