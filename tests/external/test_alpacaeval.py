"""AlpacaEval's numbers by hand, and the length-controlled one against an oracle."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from pipeline.errors import PipelineError
from pipeline.external.alpacaeval import evaluate_annotations, evaluate_outputs, preferences_of, win_rates
from pipeline.external.length_control import length_controlled_winrate
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


def annotated(lengths: Sequence[int], preferences: Sequence[float]) -> Any:
    return list(preferences), [("b" * 100, "m" * (100 + length)) for length in lengths]


def test_length_control_is_the_fit_of_an_independent_optimiser() -> None:
    rng = np.random.default_rng(1)
    lengths = rng.integers(-90, 200, size=400)
    feature = np.tanh(-lengths / np.std(-lengths, ddof=1))
    shares = 1 / (1 + np.exp(-(0.4 - 1.5 * feature + rng.normal(size=400))))
    preferences, outputs = annotated(lengths.tolist(), (1 + shares).tolist())

    def loss(weights: np.ndarray) -> float:
        logits = weights[0] * feature + weights[1]
        return float(np.mean(np.logaddexp(0, logits) - shares * logits))

    theta = minimize(loss, np.zeros(2)).x[1]
    controlled = length_controlled_winrate(preferences, outputs)
    assert controlled == pytest.approx(100 / (1 + math.exp(-theta)), abs=0.2)
    assert win_rates(preferences)["win_rate"] > controlled + 5  # its outputs are longer, and that was liked


def test_length_control_finds_nothing_where_length_is_all() -> None:
    lengths = [50, 50, 50, -50] * 10
    preferences, outputs = annotated(lengths, [1.9 if length > 0 else 1.1 for length in lengths])
    assert win_rates(preferences)["win_rate"] == pytest.approx(70)
    controlled = length_controlled_winrate(preferences, outputs)
    assert controlled is not None and abs(controlled - 50) < 4


def test_length_control_needs_lengths_that_differ_and_enough_rows() -> None:
    assert length_controlled_winrate(*annotated([5] * 9, [2.0] * 9)) is None
    assert length_controlled_winrate(*annotated([1, 2, 3, 4], [2.0] * 4)) is None


def test_a_model_that_always_wins_wins_at_equal_length_too(capfd: pytest.CaptureFixture[str]) -> None:
    assert length_controlled_winrate(*annotated([1, -2, 3, 4, 9, 7], [2.0] * 6)) == pytest.approx(100, abs=0.1)
    assert capfd.readouterr().out == ""  # the solver says what it misses on standard output


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
        ([*good, *good], "ours.json, row 2: its instruction came before"),
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
