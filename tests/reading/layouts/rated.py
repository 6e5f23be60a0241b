"""Rows whose responses have scores, ranks or ratings, as the documentation of each layout shows them."""

from typing import Any

from tests.reading.layouts.texts import CHAT, GOOD, TIE

SCORED = {"helpfulness": 4, "correctness": 3, "coherence": 4, "complexity": 1, "verbosity": 1}

RATED: dict[str, list[tuple[dict[str, Any], Any]]] = {
    "helpsteer_ratings": [
        ({"prompt": "Hi", "response": "bad", **SCORED, "helpfulness": 1}, None),
        ({"prompt": "Hi", "response": "good", **SCORED}, GOOD),
        (
            {"prompt": "Hi\n<extra_id_1>Assistant\nHo\n<extra_id_1>User\nWhy?", "response": "alone", **SCORED},
            "unpaired",
        ),
    ],
    "nectar": [
        (
            {
                "prompt": "\n\nHuman: Hi\n\nAssistant: ",
                "answers": [
                    {"answer": "bad", "model": "m", "rank": 3.0},
                    {"answer": "good", "model": "n", "rank": 1.0},
                    {"answer": "fair", "model": "o", "rank": 2.0},
                ],
                "source": ["x"],
            },
            [CHAT, "between_best_and_worst"],
        ),
    ],
    "stack_exchange_preferences": [
        (
            {
                "qid": 1,
                "question": "Hi",
                "answers": [
                    {"text": "bad", "pm_score": 0, "selected": False},
                    {"text": "good", "pm_score": 4, "selected": True},
                    {"text": "fair", "pm_score": 1, "selected": False},
                ],
            },
            [GOOD, "between_best_and_worst"],
        ),
        ({"question": "Hi", "answers": [{"text": "x", "pm_score": 1}, {"text": "y", "pm_score": 1}]}, TIE),
    ],
    "ultrafeedback": [
        (
            {
                "source": "sharegpt",
                "instruction": "Hi",
                "completions": [
                    {"response": "fair", "overall_score": 3.0},
                    {"response": "bad", "overall_score": 1.0, "annotations": {"helpfulness": {"Rating": "5"}}},
                    {"response": "good", "overall_score": 8.5},
                    {"response": "unscored", "overall_score": None},
                ],
            },
            [GOOD, "between_best_and_worst", "no_score"],
        ),
        (
            {"instruction": "Hi", "completions": [{"response": text, "overall_score": 5.0} for text in ("x", "y")]},
            TIE,
        ),
    ],
    "distilabel_ratings": [
        ({"instruction": "Hi", "generations": ["bad", "good"], "ratings": [1, 5]}, GOOD),
        (
            {"instruction": "Hi", "generations": ["bad", "good", None, "x"], "ratings": ["1", "5", 4, None]},
            [GOOD, "no_score", "no_score"],
        ),
        ({"instruction": "Hi", "generations": ["x", "y"], "ratings": [3, 3]}, TIE),
    ],
}
"""See `tests.reading.layouts.examples.EXAMPLES`."""
