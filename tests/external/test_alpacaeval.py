"""AlpacaEval's numbers by hand."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.external.alpacaeval import evaluate_annotations, evaluate_outputs, preferences_of, win_rates
from pipeline.external.scorers import BenchmarkScorer, TextWriter
from pipeline.external.tables import alpacaeval_text


def test_win_rates_by_hand() -> None:
    found = win_rates([2.0, 1.0, 1.5, 0, 1.8, None, 3.0, float("nan")])
    # as shares: 1, 0, 0.5, 0.5, 0.8
    assert found["win_rate"] == pytest.approx(56.0)
    deviations = [0.44, -0.56, -0.06, -0.06, 0.24]
    variance = sum(one**2 for one in deviations) / 4
    assert found["standard_error"] == pytest.approx(100 * math.sqrt(variance / 5))
    assert found["discrete_win_rate"] == pytest.approx(100 * (1 + 0 + 0.5 + 0.5 + 1) / 5)
    counts = [found[key] for key in ("n_wins", "n_wins_base", "n_draws", "n_total", "n_dropped")]
    assert counts == [2, 1, 2, 5, 3]
    assert win_rates([2.0])["standard_error"] is None
    with pytest.raises(PipelineError, match="no row has a preference"):
        win_rates([None, 0.5])


def test_preferences_from_scores() -> None:
    differences = np.array([0.0, 4.0, -4.0])
    assert preferences_of(differences, True) == pytest.approx([1.5, 1.982014, 1.017986], abs=1e-6)
    assert preferences_of(differences, False) == [1.5, 2.0, 1.0]


def counting_scorer(*, log_odds: bool) -> BenchmarkScorer:
    def score(texts: Sequence[str]) -> np.ndarray:
        return np.array([float(len(text)) for text in texts])

    return BenchmarkScorer("counting", score, TextWriter(), gives_log_odds=log_odds)


def outputs(generator: str, **texts: str) -> list[dict[str, Any]]:
    return [{"instruction": key, "output": text, "generator": generator} for key, text in texts.items()]


def test_two_files_are_matched_by_instruction_whatever_their_order() -> None:
    ours = outputs("mine", a="long answer", b="no", c="same", d="alone")
    theirs = outputs("base", c="same", a="short", b="maybe", e="left", f="out")
    found = evaluate_outputs(ours, theirs, counting_scorer(log_odds=False), sources=("ours.json", "theirs.json"))
    assert (found["n_wins"], found["n_wins_base"], found["n_draws"], found["n_total"]) == (1, 1, 1, 3)
    assert found["win_rate"] == 50.0 and found["length_controlled_winrate"] is None
    assert (found["n_unmatched_outputs"], found["n_unmatched_baseline"]) == (1, 2)
    assert (found["model"], found["baseline"], found["annotator"]) == ("mine", "base", "counting")
    assert "n_unmatched_baseline        2" in alpacaeval_text(found)
    sure = evaluate_outputs(ours, theirs, counting_scorer(log_odds=True), sources=("ours.json", "theirs.json"))
    sigmoid = [1 / (1 + math.exp(-difference)) for difference in (6, -3, 0)]
    assert sure["win_rate"] == pytest.approx(100 * sum(sigmoid) / 3)


def test_broken_output_files_are_named() -> None:
    good = outputs("mine", a="x")
    for ours, message in (
        ([*good, *good], "ours.json, row 2: an earlier row has its instruction"),
        ([{"instruction": "a"}], "ours.json, row 1: 'output' is missing"),
        (outputs("mine", z="x"), "no instruction in common"),
    ):
        with pytest.raises(PipelineError, match=message):
            evaluate_outputs(ours, good, counting_scorer(log_odds=True), sources=("ours.json", "theirs.json"))


def test_annotations_with_and_without_outputs() -> None:
    rows = [
        {"preference": 1.0 + number / 9, "output_1": "b" * 5, "output_2": "m" * number, "generator_2": "mine",
         "generator_1": "base", "annotator": "someone"}
        for number in range(10)
    ]  # fmt: skip
    found = evaluate_annotations(rows, source="annotations.json")
    assert found["n_total"] == 10 and found["length_controlled_winrate"] is not None
    assert (found["model"], found["baseline"], found["annotator"]) == ("mine", "base", "someone")
    bare = evaluate_annotations([{"preference": 2}, {"preference": None}], source="annotations.json")
    assert bare["n_dropped"] == 1 and bare["length_controlled_winrate"] is None
    with pytest.raises(PipelineError, match=r"annotations\.json, row 2: 'preference' is '2'"):
        evaluate_annotations([{"preference": 2}, {"preference": "2"}], source="annotations.json")
