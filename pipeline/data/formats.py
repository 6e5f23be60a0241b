"""The shapes in which people keep preferences: which one a source has, and what its rows say."""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from datasets import Dataset

from pipeline.data.chats import (
    Unreadable,
    is_chat,
    read_messages,
    render_prompt,
    render_response,
    split_chats,
    split_transcripts,
)
from pipeline.errors import PipelineError
from pipeline.params.schema import Data

FIELDS: dict[str, tuple[str, ...]] = {
    "preference_pairs": ("chosen", "rejected"),
    "comparisons": ("response_a", "response_b", "winner"),
    "scored_responses": ("responses",),
    "thumbs": ("response", "label"),
    "labelled_texts": ("text", "label"),
}
"""What each format needs, in the order in which `auto` tries them."""
OPTIONAL: dict[str, tuple[str, ...]] = {
    "preference_pairs": ("prompt", "context"),
    "comparisons": ("prompt", "context"),
    "scored_responses": ("prompt", "context", "scores"),
    "thumbs": ("prompt", "context"),
    "labelled_texts": (),
}
USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "text": ("text",),
    "label": ("label",),
    "prompt": ("prompt", "instruction", "question", "query", "conversations", "input"),
    "context": ("input",),
    "chosen": ("chosen", "chosen_messages", "chosen_response"),
    "rejected": ("rejected", "rejected_messages", "rejected_response"),
    "response_a": ("response_a", "response1", "response_1", "output_1", "answer_a", "conversation_a"),
    "response_b": ("response_b", "response2", "response_2", "output_2", "answer_b", "conversation_b"),
    "winner": ("winner", "preference", "label"),
    "responses": ("responses", "completions", "candidates"),
    "scores": ("scores", "ratings"),
    "response": ("response", "completion", "answer", "messages"),
}
"""Column names that a field with null in `data.columns` is looked for under."""
_VOTE = re.compile(r"annotator_?\d+")
"""Columns with a vote each; `annotator` alone is who voted."""
_KEY = "data.columns"


def detect_format(names: Sequence[str], data: Data) -> Data:
    """`data` with the format and the column of every field filled in.

    Args:
        names: columns of the source.

    Raises:
        PipelineError: a column is missing, two fields share one, or no format fits.
    """
    if data.format != "auto":
        return _resolved(data, data.format, names, _columns(data, data.format, names, strict=True))
    for candidate in FIELDS:
        columns = _columns(data, candidate, names, strict=False)
        if all(field in columns for field in FIELDS[candidate]):
            return _resolved(data, candidate, names, columns)
    needs = "; ".join(f"{name}: {', '.join(fields)}" for name, fields in FIELDS.items())
    raise PipelineError(
        f"data.format is auto, but the columns of {data.source} ({', '.join(names)}) fit no format ({needs}). "
        f"Name the columns in {_KEY}."
    )


def _columns(data: Data, form: str, names: Sequence[str], *, strict: bool) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {}
    for field in (*FIELDS[form], *OPTIONAL[form]):
        named = getattr(data.columns, field)
        wanted = [named] if isinstance(named, str) else named
        if wanted is not None:
            missing = [name for name in wanted if name not in names]
            if missing and strict:
                raise PipelineError(
                    f"{_KEY}.{field} is {missing[0]!r}, but {data.source} has the columns {', '.join(names)}."
                )
            found = [] if missing else wanted
        elif field == "winner" and (votes := [name for name in names if _VOTE.fullmatch(name)]):
            found = votes
        else:
            taken = {name for used in columns.values() for name in used}
            found = [name for name in USUAL_NAMES[field] if name in names and name not in taken][:1]
        if field == "context" and columns.get("prompt") != ["instruction"] and named is None:
            found = []
        if found:
            columns[field] = found
        elif strict and field in FIELDS[form]:
            raise PipelineError(
                f"{_KEY}.{field} is null and {data.source} has none of the usual columns "
                f"({', '.join(USUAL_NAMES[field])}) but {', '.join(names)}. Name the column of {field}."
            )
    return columns


def _resolved(data: Data, form: str, names: Sequence[str], columns: dict[str, list[str]]) -> Data:
    used = Counter(name for found in columns.values() for name in found)
    if any(count > 1 for count in used.values()):
        named = ", ".join(f"{_KEY}.{field}: {', '.join(found)}" for field, found in columns.items())
        raise PipelineError(f"each field needs a column of its own, but two share one ({named}).")
    update = {field: found if field == "winner" else found[0] for field, found in columns.items()}
    unused = {field: None for field in type(data.columns).model_fields if field not in columns}
    return data.model_copy(update={"format": form, "columns": data.columns.model_copy(update={**unused, **update})})


def select_fields(rows: Dataset, data: Data) -> Dataset:
    """The columns that a resolved `data` names, under the names of their fields; several columns of one field joined
    as `winner.0`, `winner.1`."""
    renamed = {}
    for field in type(data.columns).model_fields:
        named = getattr(data.columns, field)
        if isinstance(named, str):
            renamed[named] = field
        for number, name in enumerate(named if isinstance(named, list) else []):
            renamed[name] = f"{field}.{number}"
    return rows.select_columns(list(renamed)).rename_columns({old: new for old, new in renamed.items() if old != new})


def read_preference(row: Mapping[str, Any], form: str, *, separator: str = "") -> dict[str, str]:
    """Prompt, chosen and rejected of a row of a format with pairs.

    Args:
        separator: what comes between prompt and response where they are texts; chats have their own.

    Raises:
        Unreadable: with the reason why it has none.
    """
    readers: dict[str, Callable[[Mapping[str, Any], str], tuple[str, str, str]]] = {
        "preference_pairs": _read_pair,
        "comparisons": _read_comparison,
        "scored_responses": _read_scored,
    }
    texts = dict(zip(("prompt", "chosen", "rejected"), readers[form](row, separator), strict=True))
    if not texts["prompt"].strip():
        raise Unreadable("empty_prompt")
    return texts


def read_thumb(row: Mapping[str, Any], *, separator: str = "") -> tuple[str, str, bool]:
    """Prompt, response, and whether people liked it.

    Raises:
        Unreadable: with the reason.
    """
    label = row["label"]
    if label not in (0, 1) or label is None:
        raise Unreadable("label_not_0_or_1")
    prompt, response = _responses(row, separator, row["response"])
    if not prompt.strip():
        raise Unreadable("empty_prompt")
    return prompt, response, bool(label)


def _read_pair(row: Mapping[str, Any], separator: str) -> tuple[str, str, str]:
    chosen, rejected = row["chosen"], row["rejected"]
    if row.get("prompt") is not None:
        prompt, *pair = _responses(row, separator, chosen, rejected)
        return prompt, pair[0], pair[1]
    if isinstance(chosen, str) and isinstance(rejected, str):
        return split_transcripts(chosen, rejected)
    if is_chat(chosen) and is_chat(rejected):
        return split_chats(chosen, rejected)
    raise Unreadable("text_is_no_string")


def _read_comparison(row: Mapping[str, Any], separator: str) -> tuple[str, str, str]:
    votes = Counter(read_verdict(value) for key, value in row.items() if key.startswith("winner"))
    if not votes["a"] + votes["b"] + votes["tie"]:
        raise Unreadable("unreadable_verdict")
    if votes["a"] == votes["b"] or votes["tie"] > max(votes["a"], votes["b"]):
        raise Unreadable("tie")
    first, second = row["response_a"], row["response_b"]
    if votes["b"] > votes["a"]:
        first, second = second, first
    prompt, chosen, rejected = _responses(row, separator, first, second)
    return prompt, chosen, rejected


def _read_scored(row: Mapping[str, Any], separator: str) -> tuple[str, str, str]:
    """The best and the worst of a list."""
    responses, scores = row["responses"], row.get("scores")
    if not isinstance(responses, Sequence) or isinstance(responses, str) or len(responses) < 2:
        raise Unreadable("fewer_than_two_responses")
    if scores is None and all(isinstance(entry, Mapping) for entry in responses):
        scores = [_first(entry, "score", "rating", "overall_score") for entry in responses]
        responses = [_first(entry, "response", "text", "content") for entry in responses]
    if not isinstance(scores, Sequence) or isinstance(scores, str) or len(scores) != len(responses):
        raise Unreadable("no_score_for_every_response")
    numbers = [_number(score) for score in scores]
    best, worst = numbers.index(max(numbers)), numbers.index(min(numbers))
    if best == worst or numbers[best] == numbers[worst]:
        raise Unreadable("tie")
    prompt, chosen, rejected = _responses(row, separator, responses[best], responses[worst])
    return prompt, chosen, rejected


def _responses(row: Mapping[str, Any], separator: str, *responses: Any) -> tuple[str, ...]:
    """The prompt and the responses as texts, whatever each is stored as."""
    prompt, context = row.get("prompt"), row.get("context")
    if prompt is None:  # the conversation holds it
        turns = [read_messages(response) for response in responses]
        if any(messages[:-1] != turns[0][:-1] for messages in turns):
            raise Unreadable("no_shared_turn")
        return render_prompt(turns[0][:-1]), *(render_response(messages[-1]) for messages in turns)
    if is_chat(prompt):
        return render_prompt(read_messages(prompt)), *(_answer(response) for response in responses)
    if not isinstance(prompt, str):
        raise Unreadable("text_is_no_string")
    if isinstance(context, str) and context.strip():
        prompt = f"{prompt}\n{context}"
    if all(is_chat(response) for response in responses):
        # a text beside conversations that repeat it, or beside the answers alone
        turns = [read_messages(response) for response in responses]
        heads = [messages[:-1] or read_messages({"role": "user", "content": prompt}) for messages in turns]
        if any(head != heads[0] for head in heads):
            raise Unreadable("no_shared_turn")
        return render_prompt(heads[0]), *(render_response(messages[-1]) for messages in turns)
    if not all(isinstance(response, str) for response in responses):
        raise Unreadable("text_is_no_string")
    return prompt, *(separator + response for response in responses)


def _answer(value: Any) -> str:
    if isinstance(value, str):
        return f" {value}"
    messages = read_messages(value)
    if len(messages) != 1:
        raise Unreadable("response_has_several_turns")
    return render_response(messages[0])


_FIRST = {"a", "1", "model_a", "model_1", "response_a", "response_1", "output_1", "assistant_a", "first", "left"}
_SECOND = {"b", "2", "model_b", "model_2", "response_b", "response_2", "output_2", "assistant_b", "second", "right"}
_TIES = {"tie", "tie (bothbad)", "both", "bothbad", "neither", "equal", "similar", "draw", "same", "0"}


def read_verdict(value: Any) -> str | None:
    """a, b or tie of how people write a winner; None for what says nothing.

    Numbers are those of AlpacaEval and PandaLM: 1 the first, 2 the second, 0 and 1.5 a tie.
    """
    if isinstance(value, str):
        word = value.strip().strip("()[]").strip().casefold()
        named = "a" if word in _FIRST else "b" if word in _SECOND else "tie" if word in _TIES else None
        return "tie" if value.strip().casefold() in _TIES else named
    if isinstance(value, bool) or not isinstance(value, int | float) or not (value == 0 or 1 <= value <= 2):
        return None
    return "tie" if value in (0, 1.5) else "a" if value < 1.5 else "b"


def _first(entry: Mapping[str, Any], *keys: str) -> Any:
    return next((entry[key] for key in keys if entry.get(key) is not None), None)


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise Unreadable("score_is_no_number") from None
    if not math.isfinite(number):
        raise Unreadable("score_is_no_number")
    return number
