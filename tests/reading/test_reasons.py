"""A dropped row says what was seen there, and what to do."""

import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.params.data import Data
from pipeline.params.schema import Params
from pipeline.reading.chats import Unreadable
from pipeline.reading.entries import read_entries
from pipeline.reading.reasons import ADVICE, advise_reason
from pipeline.reading.styles import Style
from tests.tiny_models import changed

USER = {"role": "user", "content": "Why?"}
YES = {"role": "assistant", "content": "Yes"}
CHAT = [USER, YES]


@pytest.fixture
def data(params: Params) -> Data:
    return changed(params.data, columns=dict.fromkeys(params.data.columns.model_dump()))


@pytest.mark.parametrize(
    ("form", "row", "reason", "seen"),
    [
        ("preference_pairs", {"chosen": {"messages": None}, "rejected": CHAT}, "no_messages", "{'messages': None}"),
        ("preference_pairs", {"chosen": [{"content": "x"}], "rejected": CHAT}, "message_without_role", "'x'"),
        ("preference_pairs", {"chosen": [{"messages": CHAT}], "rejected": CHAT}, "message_without_role", "messages"),
        ("preference_pairs", {"chosen": [{"role": "critic"}], "rejected": CHAT}, "unknown_role", "'critic'"),
        ("preference_pairs", {"chosen": [], "rejected": CHAT}, "no_messages", "[]"),
        ("preference_pairs", {"prompt": "Why?", "chosen": [], "rejected": "No"}, "text_is_no_string", "[]"),
        ("preference_pairs", {"chosen": "", "rejected": CHAT}, "empty_text", "''"),
        ("preference_pairs", {"chosen": CHAT, "rejected": 3}, "text_is_no_string", "3"),
        ("preference_pairs", {"chosen": "", "rejected": "x"}, "empty_text", "''"),
        ("preference_pairs", {"prompt": None, "chosen": "x", "rejected": "y"}, "empty_prompt", "None"),
        ("comparisons", {"prompt": None, "response_a": "x", "response_b": "y", "winner": "a"}, "empty_prompt", "None"),
        ("comparisons", {"response_a": "", "response_b": CHAT, "winner": "a"}, "empty_text", "''"),
        ("comparisons", {"response_a": CHAT, "response_b": "y", "winner": "a"}, "text_instead_of_messages", "'y'"),
        (
            "comparisons",
            {"prompt": "Q", "response_a": "x", "response_b": "y", "winner": "who"},
            "unreadable_verdict",
            "'who'",
        ),
        ("demonstrations", {"prompt": "Q", "response": [{**YES, "content": None}]}, "empty_content", "None"),
        (
            "demonstrations",
            {"prompt": "Q", "response": [{**YES, "tool_calls": [1]}]},
            "tools_are_not_read",
            "tool_calls",
        ),
        ("texts", {"text": " "}, "empty_text", "' '"),
        ("texts", {"text": ["a"]}, "text_is_no_string", "['a']"),
        ("labelled_texts", {"text": "x", "label": 3}, "label_not_0_or_1", "3"),
        ("ratings", {"prompt": "Q", "response": "x", "score": "high"}, "score_is_no_number", "'high'"),
    ],
)
def test_the_reason_names_what_was_seen(form: str, row: dict[str, Any], reason: str, seen: str, data: Data) -> None:
    (entry,) = read_entries([row], changed(data, format=form), Style())
    assert (entry.record, entry.reason) == (None, reason)
    assert seen in entry.seen


def test_what_was_seen_is_shortened() -> None:
    assert len(Unreadable("empty_text", "x" * 10_000, list(range(1000))).seen) < 200


def test_every_reason_has_its_advice() -> None:
    """Also a reason that a new layout brings."""
    code = "".join(file.read_text() for file in Path("pipeline/reading").rglob("*.py") if file.name != "reasons.py")
    named = (r'(?:Unreadable|Unparsable)\(\s*"([a-z_0-9]+)"', r'reason="([a-z_]+)"', r'UNUSED: "([a-z_]+)"')
    raised = {reason for pattern in named for reason in re.findall(pattern, code)} | {"too_many_cells", "not_utf8"}
    assert raised and raised <= set(ADVICE)
    assert "file" in advise_reason("another reason of a table")
