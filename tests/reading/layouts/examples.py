"""Rows as the documentation of each layout shows them, with texts of our own, and the preferences that they are."""

from typing import Any

HI = "\n\nHuman: Hi\n\nAssistant:"
"""What a conversation with one turn is written as."""
TALK = "\n\nSystem: Be brief.\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: Why?\n\nAssistant:"


def say(*contents: str, first: str = "user") -> list[dict[str, str]]:
    """Turns of user and assistant; a system's text comes before."""
    roles = ["user", "assistant"] * len(contents)
    start = 0 if first == "user" else 1
    return [{"role": role, "content": text} for role, text in zip(roles[start:], contents, strict=False)]


SYSTEM = {"role": "system", "content": "Be brief."}
GOOD, BAD = ("Hi", "good", "bad"), ("Hi", "bad", "good")
CHAT = (HI, " good", " bad")
SCORED = {"helpfulness": 4, "correctness": 3, "coherence": 4, "complexity": 1, "verbosity": 1}
TIE = "tie"
LMSYS = {
    "prompt": '["Hi"]',
    "response_a": '["x"]',
    "response_b": '["y"]',
    "winner_model_a": 0,
    "winner_model_b": 0,
    "winner_tie": 0,
}
TWO_TURNS = {"prompt": '["Hi", "Why?"]', "response_b": '["z", "y"]'}

EXAMPLES: dict[str, list[tuple[dict[str, Any], Any]]] = {
    "openai_preference": [
        (
            {
                "input": {"messages": say("Hi"), "tools": [], "parallel_tool_calls": True},
                "preferred_output": say("good", first="assistant"),
                "non_preferred_output": say("bad", first="assistant"),
            },
            CHAT,
        ),
        (
            {
                "input": {"messages": [SYSTEM, *say("Hi", "Hello!", "Why?")]},
                "preferred_completion": say("good", first="assistant"),
                "non_preferred_completion": say("bad", first="assistant"),
            },
            (TALK, " good", " bad"),
        ),
        (
            {
                "input": {"messages": say("Hi"), "tools": [{"type": "function", "function": {"name": "f"}}]},
                "preferred_output": say("good", first="assistant"),
                "non_preferred_output": say("bad", first="assistant"),
            },
            "tools_are_not_read",
        ),
        (
            {
                "input": {"messages": say("Hi")},
                "preferred_output": [{**say("good", first="assistant")[0], "tool_calls": [{"id": "1"}]}],
                "non_preferred_output": say("bad", first="assistant"),
            },
            "tools_are_not_read",
        ),
    ],
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
    "helpsteer_ratings": [
        ({"prompt": "Hi", "response": "bad", **SCORED, "helpfulness": 1}, None),
        ({"prompt": "Hi", "response": "good", **SCORED}, GOOD),
        (
            {"prompt": "Hi\n<extra_id_1>Assistant\nHo\n<extra_id_1>User\nWhy?", "response": "alone", **SCORED},
            "unpaired",
        ),
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
    "stack_exchange_paired": [({"qid": 1, "question": "Hi", "response_j": "good", "response_k": "bad"}, GOOD)],
    "judge_bench": [
        ({"source": "s", "question": "Hi", "response_A": "good", "response_B": "bad", "label": "A>B"}, GOOD),
        ({"source": "s", "question": "Hi", "response_A": "bad", "response_B": "good", "label": "B>A"}, GOOD),
    ],
    "rm_bench": [
        (
            {"domain": "chat", "prompt": "Hi", "chosen": ["good", "Good"], "rejected": ["bad", "Bad"]},
            [GOOD, ("Hi", "Good", "Bad"), "other_pair_of_the_row", "other_pair_of_the_row"],
        ),
        ({"prompt": "Hi", "chosen": ["good"], "rejected": ["bad", "worse"]}, [GOOD, ("Hi", "good", "worse")]),
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
    "ms_swift": [
        ({"messages": [SYSTEM, *say("Hi", "Hello!", "Why?", "good")], "rejected_response": "bad"}, (TALK, *CHAT[1:])),
        ({"messages": say("Hi", "good"), "rejected_messages": say("Hi", "bad")}, CHAT),
        (
            {
                "messages": say("Hi", "good"),
                "rejected_response": say("bad", first="assistant"),
                "rejected_messages": say("Hi", "worse"),
            },
            CHAT,
        ),
        ({"messages": say("Hi", "good"), "rejected_response": "bad", "tools": "[{}]"}, "tools_are_not_read"),
        ({"messages": say("Hi", "good"), "rejected_response": "bad", "rejected_images": ["a"]}, "media_are_not_read"),
    ],
    "messages_pairs": [
        (
            {
                "messages": [SYSTEM, *say("Hi", "Hello!", "Why?")],
                "chosen": say("good", first="assistant")[0],
                "rejected": say("bad", first="assistant")[0],
            },
            (TALK, *CHAT[1:]),
        ),
        ({"conversation": say("Hi"), "chosen": "good", "rejected": "bad"}, CHAT),
    ],
    "system_pairs": [
        (
            {
                "system": "Be brief.",
                "question": "Why?",
                "history": [["Hi", "Hello!"]],
                "chosen": "good",
                "rejected": "bad",
            },
            (TALK, *CHAT[1:]),
        ),
        ({"system": "", "question": "Hi", "chatgpt": "good", "llama2-13b-chat": "bad"}, GOOD),
        ({"system": "", "instruction": "Hi", "chosen_response": "good", "rejected_response": "bad"}, GOOD),
        (
            {"system": None, "instruction": "Hi", "input": "there", "chosen": "good", "rejected": "bad"},
            ("Hi\nthere", "good", "bad"),
        ),
        ({"system": "", "input": "Hi", "chosen": "x", "rejected": "y", "status": "tie"}, TIE),
        (
            {
                "system": "",
                "input": "Hi",
                "chosen": "good",
                "rejected": "bad",
                "status": "swapped",
                "original_chosen": "bad",
                "original_rejected": "good",
            },
            GOOD,
        ),
        ({"system": "", "prompt": "Hi", "question": "Why?", "chosen": "x", "rejected": "y"}, "two_prompts"),
        ({"system": "", "prompt": "Hi", "chosen": "x", "rejected_response": "y"}, "empty_text"),
    ],
    "ms_swift_query": [
        (
            {
                "system": "Be brief.",
                "query": "Why?",
                "response": "good",
                "rejected_response": "bad",
                "history": [["Hi", "Hello!"]],
            },
            (TALK, *CHAT[1:]),
        ),
        ({"query": "Hi", "response": "good", "rejected_response": "bad", "history": []}, GOOD),
        (
            {"instruction": "Add.", "input": "1, 2", "output": "good", "rejected_response": "bad"},
            ("Add.\n1, 2", "good", "bad"),
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
    "pos_neg": [
        ({"query": "Hi", "pos": ["good"], "neg": ["bad", "worse"]}, [GOOD, ("Hi", "good", "worse")]),
        (
            {"query": "Hi", "pos": ["good", "Good"], "neg": ["bad", "Bad"]},
            [GOOD, ("Hi", "Good", "Bad"), "other_pair_of_the_row", "other_pair_of_the_row"],
        ),
        ({"prompt": "Hi", "pos": "good", "neg": "bad"}, GOOD),
        ({"pos": f"{HI} good", "neg": f"{HI} bad"}, (HI, " good", " bad")),
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
"""By layout: rows, each with its pair of prompt, chosen and rejected or the reason why it has none; with None where a
later row is paired with it."""
