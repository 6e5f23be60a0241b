"""A result is the kind of file that its reader expects, or it is not made at all."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.errors import PipelineError
from pipeline.results.document import Document, Interval, as_pipeline_error, read_document
from pipeline.results.judges import HeldOutAccuracy, JudgeGate, MeasuredJudge
from pipeline.results.policies import Frontier

INTERVAL = Interval(mean=0.5, low=0.4, high=0.6)
POINT = {
    "label": "best of 2", "best_of_n": 2, "kl_nats_per_sequence": 0.19, "judge_scores": [0.5],
    "reward_score": {"mean": 1.0, "low": 0.5, "high": 1.5}, "judge_score": {"mean": 0.5, "low": 0.4, "high": 0.6},
}  # fmt: skip


def frontier(**wrong: object) -> Frontier:
    return Frontier.model_validate({"points": [{**POINT, **wrong}]})


def test_what_is_written_is_what_was_read() -> None:
    assert frontier().as_json() == {"points": [POINT]}


def test_a_field_that_has_its_default_is_not_written_and_none_without_a_default_is() -> None:
    accuracy = HeldOutAccuracy(held_out_accuracy=INTERVAL, majority_share=0.5, texts=4)
    assert set(accuracy.as_json()) == {"held_out_accuracy", "majority_share", "texts"}
    counted = HeldOutAccuracy(**{**accuracy.as_fields(), "verdicts": {"decided": 2, "position_bias": -0.5}})
    assert json.dumps(counted.as_json()["verdicts"]) == '{"decided": 2, "position_bias": -0.5}', "counts stay whole"
    measured = MeasuredJudge(**accuracy.as_fields(), kind="chat", family="chat model", fitted_on="none", problem=None)
    assert measured.as_json()["problem"] is None and measured.held_out_accuracy is INTERVAL


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": "best of 2"}, r"points\.0\.labels\s+Extra inputs"),
        ({"judge_score": {"mean": 0.5, "low": 0.4}}, r"points\.0\.judge_score\.high\s+Field required"),
    ],
)
def test_a_key_that_is_renamed_or_missing_fails_where_it_is_made(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as raised:
        frontier(**wrong)
    assert as_pipeline_error(raised.value) is None, "the project's own error, with a traceback"


def test_a_value_that_is_no_number_is_the_users_to_mend() -> None:
    with pytest.raises(ValidationError) as raised:
        frontier(kl_nats_per_sequence=float("nan"))
    told = str(as_pipeline_error(raised.value))
    assert "not a finite number (NaN or infinite): points.0.kl_nats_per_sequence of Frontier. " in told
    assert "lower its learning rate" in told


def test_another_stages_file_is_read_or_named(tmp_path: Path) -> None:
    path = tmp_path / "gate.json"
    path.write_text(json.dumps(JudgeGate(trusted=True).as_json()))
    assert read_document(path, JudgeGate).trusted
    path.write_text('{"trust": true}')
    with pytest.raises(PipelineError, match=r"gate\.json: trusted: Field required; trust: Extra .*writes it again"):
        read_document(path, JudgeGate)


def test_documents_are_immutable() -> None:
    with pytest.raises(ValueError, match="frozen"):
        INTERVAL.mean = 0.3  # type: ignore[misc]
    assert issubclass(Interval, Document)
