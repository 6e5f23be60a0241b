"""Rows that name the chosen and the rejected response, as the documentation of each layout shows them."""

from typing import Any

from tests.reading.layouts.texts import CHAT, GOOD, HI, SYSTEM, TALK, TIE, say

CHOSEN: dict[str, list[tuple[dict[str, Any], Any]]] = {
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
    "stack_exchange_paired": [({"qid": 1, "question": "Hi", "response_j": "good", "response_k": "bad"}, GOOD)],
    "rm_bench": [
        (
            {"domain": "chat", "prompt": "Hi", "chosen": ["good", "Good"], "rejected": ["bad", "Bad"]},
            [GOOD, ("Hi", "Good", "Bad"), "other_pair_of_the_row", "other_pair_of_the_row"],
        ),
        ({"prompt": "Hi", "chosen": ["good"], "rejected": ["bad", "worse"]}, [GOOD, ("Hi", "good", "worse")]),
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
    "pos_neg": [
        ({"query": "Hi", "pos": ["good"], "neg": ["bad", "worse"]}, [GOOD, ("Hi", "good", "worse")]),
        (
            {"query": "Hi", "pos": ["good", "Good"], "neg": ["bad", "Bad"]},
            [GOOD, ("Hi", "Good", "Bad"), "other_pair_of_the_row", "other_pair_of_the_row"],
        ),
        ({"prompt": "Hi", "pos": "good", "neg": "bad"}, GOOD),
        ({"pos": f"{HI} good", "neg": f"{HI} bad"}, (HI, " good", " bad")),
    ],
}
"""See `tests.reading.layouts.examples.EXAMPLES`."""
