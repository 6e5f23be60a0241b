"""Rows with two responses and a verdict, as the documentation of each layout shows them."""

from typing import Any

from tests.reading.layouts.texts import CHAT, GOOD, SYSTEM, TALK, TIE, say

LMSYS = {
    "prompt": '["Hi"]',
    "response_a": '["x"]',
    "response_b": '["y"]',
    "winner_model_a": 0,
    "winner_model_b": 0,
    "winner_tie": 0,
}
TWO_TURNS = {"prompt": '["Hi", "Why?"]', "response_b": '["z", "y"]'}

COMPARED: dict[str, list[tuple[dict[str, Any], Any]]] = {
    "pku_saferlhf": [
        (
            {
                "prompt": "Hi",
                "response_0": "bad",
                "response_1": "good",
                "is_response_0_safe": True,
                "is_response_1_safe": False,
                "better_response_id": 1,
                "safer_response_id": 0,
            },
            GOOD,
        ),
        ({"prompt": "Hi", "response_0": "good", "response_1": "bad", "better_response_id": 0}, GOOD),
        (
            {"prompt": "Hi", "response_0": "x", "response_1": "y", "better_response_id": None, "safer_response_id": 0},
            "no_winner",
        ),
    ],
    "auto_j": [
        ({"scenario": "chat", "label": 0, "prompt": "Hi", "response 1": "good", "response 2": "bad"}, GOOD),
        ({"scenario": "chat", "label": 1, "prompt": "Hi", "response 1": "bad", "response 2": "good"}, GOOD),
        ({"scenario": "chat", "label": 2, "prompt": "Hi", "response 1": "x", "response 2": "y"}, TIE),
    ],
    "webgpt_comparisons": [
        (
            {
                "question": {"dataset": "eli5", "id": "1", "full_text": "Hi"},
                "quotes_0": {"title": [], "extract": []},
                "answer_0": "bad",
                "score_0": -0.5,
                "answer_1": "good",
                "score_1": 0.5,
            },
            GOOD,
        ),
        (
            {"question": {"full_text": "Hi"}, "answer_0": "x", "score_0": 0.0, "answer_1": "y", "score_1": 0.0},
            TIE,
        ),
    ],
    "shp": [
        (
            {
                "domain": "askculinary_train",
                "history": "Hi",
                "human_ref_A": "good",
                "human_ref_B": "bad",
                "labels": 1,
                "score_A": 9,
                "score_B": 3,
            },
            GOOD,
        ),
        ({"history": "Hi", "human_ref_A": "bad", "human_ref_B": "good", "labels": 0, "score_A": 2, "score_B": 5}, GOOD),
        ({"history": "Hi", "human_ref_A": "bad", "human_ref_B": "good", "labels": "0"}, GOOD),
    ],
    "helpsteer2_preference": [
        ({"prompt": "Hi", "response_1": "good", "response_2": "bad", "preference_strength": -1}, GOOD),
        ({"prompt": "Hi", "response_1": "bad", "response_2": "good", "preference_strength": 3}, GOOD),
        ({"prompt": "Hi", "response_1": "x", "response_2": "y", "preference_strength": 0}, TIE),
        (
            {
                "prompt": "Hi\n<extra_id_1>Assistant\nHello!\n<extra_id_1>User\nWhy?\n<extra_id_1>Assistant\n",
                "response_1": "bad",
                "response_2": "good",
                "preference_strength": 2,
            },
            ("\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: Why?\n\nAssistant:", " good", " bad"),
        ),
    ],
    "helpsteer3_preference": [
        (
            {
                "domain": "general",
                "language": "english",
                "context": [SYSTEM, *say("Hi", "Hello!", "Why?")],
                "response1": "good",
                "response2": "bad",
                "overall_preference": -3,
            },
            (TALK, " good", " bad"),
        ),
        ({"context": say("Hi"), "response1": "bad", "response2": "good", "overall_preference": 1}, CHAT),
        ({"context": say("Hi"), "response1": "x", "response2": "y", "overall_preference": 0}, TIE),
    ],
    "judge_bench": [
        ({"source": "s", "question": "Hi", "response_A": "good", "response_B": "bad", "label": "A>B"}, GOOD),
        ({"source": "s", "question": "Hi", "response_A": "bad", "response_B": "good", "label": "B>A"}, GOOD),
    ],
    "summarize_from_feedback": [
        (
            {
                "info": {"post": "Long.", "title": "One", "subreddit": "tifu"},
                "summaries": [{"text": " bad", "policy": "p"}, {"text": " good", "policy": "q"}],
                "choice": 1,
                "worker": "w",
            },
            ("SUBREDDIT: r/tifu\n\nTITLE: One\n\nPOST: Long.\n\nTL;DR:", " good", " bad"),
        ),
        (
            {
                "info": {"article": "News."},
                "summaries": [{"text": "good"}, {"text": "bad"}],
                "choice": 0,
                "worker": "w",
            },
            ("News.\n\nTL;DR:", " good", " bad"),
        ),
    ],
    "lmsys_kaggle": [
        (
            {
                "id": 1,
                "prompt": '["Hi"]',
                "response_a": '["bad"]',
                "response_b": '["good"]',
                "winner_model_a": 0,
                "winner_model_b": 1,
                "winner_tie": 0,
            },
            CHAT,
        ),
        (
            {
                "prompt": ["Hi", "Why?"],
                "response_a": ["Hello!", "good"],
                "response_b": ["Hello!", "bad"],
                "winner_model_a": "1",
                "winner_model_b": "0",
                "winner_tie": "0",
            },
            ("\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: Why?\n\nAssistant:", *CHAT[1:]),
        ),
        ({**LMSYS, "winner_tie": 1}, TIE),
        ({**LMSYS, "response_a": '["x", "y"]', "winner_model_b": 1, **TWO_TURNS}, "no_shared_turn"),
    ],
    "label_studio_pairwise": [
        (
            {
                "id": 1,
                "data": {"prompt": "Hi", "answer2": "good", "answer1": "bad"},
                "annotations": [{"result": [{"type": "pairwise", "value": {"selected": "right"}}]}],
            },
            GOOD,
        ),
        (  # as the editor writes it: `to_name` is the control itself
            {
                "data": {"text2": "bad", "text1": "good", "question": "Hi"},
                "annotations": [
                    {
                        "id": "1001",
                        "lead_time": 15.05,
                        "result": [
                            {
                                "from_name": "pw",
                                "id": "Dx",
                                "to_name": "pw",
                                "type": "pairwise",
                                "value": {"selected": "left"},
                            }
                        ],
                    }
                ],
                "predictions": [],
            },
            GOOD,
        ),
        (
            {
                "data": {"prompt": "Hi", "text1": "bad", "text2": "good"},
                "annotations": [
                    {"result": [{"type": "pairwise", "to_name": "text2,text1", "value": {"selected": "left"}}]}
                ],
            },
            GOOD,
        ),
        (
            {
                "data": {"prompt": "Hi", "mine": "good", "other": "bad"},
                "annotations": [
                    {"result": [{"type": "pairwise", "to_name": "mine,other", "value": {"selected": "left"}}]},
                    {"result": [{"type": "choices", "value": {"choices": ["clear"]}}], "was_cancelled": False},
                ],
            },
            GOOD,
        ),
        (
            {
                "data": {"prompt": "Hi", "text1": "x", "text2": "y"},
                "annotations": [
                    {"result": [{"type": "pairwise", "value": {"selected": side}}]} for side in ("left", "right")
                ],
            },
            TIE,
        ),
        (
            {
                "data": {"prompt": "Hi", "text1": "x", "text2": "y"},
                "annotations": [
                    {"result": [{"type": "pairwise", "value": {"selected": "left"}}], "was_cancelled": True}
                ],
            },
            "no_winner",
        ),
    ],
}
"""See `tests.reading.layouts.examples.EXAMPLES`."""
