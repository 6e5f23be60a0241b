"""A result is written as the kind of file that the report reads, or not at all."""

import pytest

from pipeline.errors import PipelineError
from pipeline.results.document import Document, Interval, checked
from pipeline.results.policies import Frontier
from pipeline.results.reward import Calibration

POINT = {
    "label": "best of 2", "best_of_n": 2, "kl_nats_per_sequence": 0.19, "judge_scores": [0.5],
    "reward_score": {"mean": 1.0, "low": 0.5, "high": 1.5}, "judge_score": {"mean": 0.5, "low": 0.4, "high": 0.6},
}  # fmt: skip


def test_values_pass_as_they_are() -> None:
    values = {"points": [POINT]}
    assert checked(Frontier, values) is values


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": "best of 2"}, r"no Frontier .*points\.0\.labels: Extra inputs"),
        ({"judge_score": {"mean": 0.5, "low": 0.4}}, r"points\.0\.judge_score\.high: Field required"),
    ],
)
def test_a_key_that_is_renamed_or_missing_fails_where_it_is_written(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        checked(Frontier, {"points": [{**POINT, **wrong}]})


def test_a_value_that_is_no_number_is_the_users_to_mend() -> None:
    with pytest.raises(PipelineError, match=r"finite number .*: points\.0\.kl_nats_per_sequence\. .*learning rate"):
        checked(Frontier, {"points": [{**POINT, "kl_nats_per_sequence": float("nan")}]})


def test_every_wrong_key_is_named() -> None:
    with pytest.raises(TypeError, match=r"bins: Field required; .*chosen_scores: Field required; .*bin: Extra inputs"):
        checked(Calibration, {"bin": []})


def test_documents_are_immutable() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Interval(mean=0.1, low=0.0, high=0.2).mean = 0.3  # type: ignore[misc]
    assert issubclass(Interval, Document)
