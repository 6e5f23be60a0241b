"""RewardBench's scores by hand and against its published weights, and its rows in every shape."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.external.rewardbench import EXAMPLE_COUNTS, SECTIONS, evaluate_rewardbench, rewardbench_scores
from pipeline.external.scorers import BenchmarkScorer, TextWriter
from pipeline.external.tables import rewardbench_text


def counting_scorer() -> BenchmarkScorer:
    """Scores a text with its letters."""

    def score(texts: Sequence[str]) -> np.ndarray:
        return np.array([float(len(text)) for text in texts])

    return BenchmarkScorer("counting", score, TextWriter(), gives_log_odds=True)


def test_the_published_weights() -> None:
    totals = {section: sum(EXAMPLE_COUNTS[name] for name in names) for section, names in SECTIONS.items()}
    assert totals == {"Chat": 358, "Chat Hard": 456, "Safety": 740, "Reasoning": 2 * 984}
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(EXAMPLE_COUNTS)


def test_a_section_weighs_its_subsets_as_published_not_as_in_the_file() -> None:
    # math 1 of 1 and python 0 of 2: (984 * 1 + 164 * 0) / 1148, where the file itself would say 1/3
    result = rewardbench_scores(["math-prm", "hep-python", "hep-python"], np.array([1.0, -1.0, 0.0]))
    assert result["sections"]["Reasoning"] == pytest.approx(984 / 1148)
    assert result["sections"]["Chat"] is None and result["overall"] is None
    assert result["ties"] == 1 and result["examples"] == 3
    assert len(result["missing_subsets"]) == len(EXAMPLE_COUNTS) - 2


@pytest.mark.parametrize("prior", [False, True])
def test_the_overall_score_is_the_mean_of_sections_with_prior_sets_at_half_weight(prior: bool) -> None:
    pairs = [("alpacaeval-easy", 1.0), ("llmbar-natural", 1.0), ("donotanswer", -1.0), ("math-prm", 1.0)]
    pairs += [("shp", 1.0), ("summarize", -1.0), ("summarize", -1.0)] if prior else []
    result = rewardbench_scores([name for name, _ in pairs], np.array([margin for _, margin in pairs]))
    assert result["prior_sets"] == (0.5 if prior else None)  # the mean of 1 and 0, whatever their sizes
    assert result["overall"] == pytest.approx((3 + 0.5 * 0.5) / 4.5 if prior else 3 / 4)


def test_unknown_subsets_are_measured_counted_and_in_no_section() -> None:
    result = rewardbench_scores(["my-own", "my-own", "math-prm"], np.array([1.0, -1.0, 1.0]))
    assert result["other_subsets"] == {"my-own": 2}
    assert result["subsets"]["my-own"]["accuracy"]["mean"] == 0.5 and result["subsets"]["my-own"]["section"] is None
    assert result["sections"]["Reasoning"] == 1.0
    result |= {"model": "m", "text": "plain"}
    assert "in no section: my-own (2)" in rewardbench_text(result)


def test_rows_of_texts_and_of_conversations() -> None:
    asked, short, long = ({"role": role, "content": text} for role, text in
                          (("user", "Why?"), ("assistant", "So."), ("assistant", "Because.")))  # fmt: skip
    rows: list[dict[str, Any]] = [
        {"prompt": "Why?", "chosen": "Because.", "rejected": "So.", "subset": "one"},
        {"question": "Why?", "chosen": "So.", "rejected": "Because.", "subset": "two"},
        {"prompt": [asked], "chosen": "Because.", "rejected": "So.", "subset": "three"},
        {"prompt": "ignored", "chosen": [asked, long], "rejected": [asked, short], "subset": "four"},
        {"prompt": [asked, short, asked], "chosen": "So.", "rejected": "So.", "subset": None},
    ]
    result = evaluate_rewardbench(rows, counting_scorer(), source="pairs.json", subset="five")
    found = {name: entry["accuracy"]["mean"] for name, entry in result["subsets"].items()}
    assert found == {"one": 1.0, "two": 0.0, "three": 1.0, "four": 1.0, "five": 0.0}
    assert result["ties"] == 1 and result["model"] == "counting" and result["text"] == "plain"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chosen": None}, "pairs.json, row 2: 'chosen' or 'rejected' is missing"),
        ({"rejected": 7}, "pairs.json, row 2: 'rejected' is no text but a int"),
        ({"subset": 7}, "pairs.json, row 2: 'subset' is no text"),
        ({"prompt": [{"role": "owl", "content": "Hu"}]}, "pairs.json, row 2: the conversation cannot be read: unknown"),
    ],
)
def test_a_broken_row_is_named(change: dict[str, Any], message: str) -> None:
    row = {"prompt": "p", "chosen": "a", "rejected": "b", "subset": "s"}
    with pytest.raises(PipelineError, match=message):
        evaluate_rewardbench([row, row | change], counting_scorer(), source="pairs.json")
    del row["subset"]
    with pytest.raises(PipelineError, match=r"row 1: 'subset' is missing\. Name the subset"):
        evaluate_rewardbench([row], counting_scorer(), source="pairs.json")
