"""The fields of each format, and which column of a source is which field."""

import re
from collections.abc import Callable, Mapping, Sequence

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.reading.categories import VERDICTS
from pipeline.reading.sides import columns_of_sides, model_columns, numbers_of_sides, response_columns

FIELDS: dict[str, tuple[str, ...]] = {
    "judgements": ("judge_prompt", "winner"),
    "trees": ("tree",),
    "round_robin": ("responses", "winner"),
    "preference_pairs": ("chosen", "rejected"),
    "comparisons": ("response_a", "response_b", "winner"),
    "scored_responses": ("responses",),
    "ratings": ("response", "score"),
    "rankings": ("response", "rank"),
    "thumbs": ("response", "label"),
    "labelled_texts": ("text", "label"),
    "demonstrations": ("response",),
    "texts": ("text",),
    "prompts": ("prompt",),
}
"""What each format needs, in the order in which `auto` tries them."""
OPTIONAL: dict[str, tuple[str, ...]] = {
    "preference_pairs": ("prompt", "context", "tools", "chosen_score", "rejected_score"),
    "round_robin": ("prompt", "context"),
    "comparisons": ("prompt", "context", "annotator", "item", "models", "scores"),
    "scored_responses": ("prompt", "context", "scores", "rank", "winner"),
    "ratings": ("prompt", "context"),
    "rankings": ("prompt", "context", "score"),
    "thumbs": ("prompt", "context"),
    "demonstrations": ("prompt", "context", "tools"),
    "prompts": ("context", "tools"),
}
USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "text": ("text",),
    "label": ("label",),
    "prompt": ("prompt", "instruction", "question", "query", "prefix", "conversations", "input"),
    "context": ("input",),
    "tools": ("tools",),
    "chosen": ("chosen", "chosen_messages", "chosen_response", "chosen_instruction"),
    "rejected": ("rejected", "rejected_messages", "rejected_response", "rejected_instruction"),
    "chosen_score": (
        "chosen_score",
        "score_chosen",
        "chosen_rating",
        "chosen-rating",
        "rating_chosen",
        "chosen_reward",
    ),
    "rejected_score": (
        "rejected_score",
        "score_rejected",
        "rejected_rating",
        "rejected-rating",
        "rating_rejected",
        "rejected_reward",
    ),
    "response_a": ("response_a", "response1", "response_1", "output_1", "answer_a", "conversation_a", "first", "a1"),
    "response_b": ("response_b", "response2", "response_2", "output_2", "answer_b", "conversation_b", "second", "a2"),
    "winner": (
        *("winner", "preference", "preferred", "better", "better_response", "better_response_id", "chosen_response_id"),
        *("preferred_response", "choice", "vote", "verdict", "selected", "label", "utterance"),
    ),
    "winners": ("votes", "verdicts", "choices", "preferences", "annotations", "judgements", "judgments", "labels"),
    "annotator": ("annotator", "annotator_id", "workerid", "worker_id", "worker", "rater", "judge"),
    "item": ("item",),
    "responses": ("responses", "completions", "candidates"),
    "scores": ("scores", "ratings"),
    "response": ("response", "completion", "answer", "messages", "output", "argument", "conversations"),
    "score": ("score", "rating", "overall_score", "helpfulness"),
    "rank": ("rank",),
    "ranks": ("ranks", "rank"),
    "best": (
        *("chosen_index", "chosen_idx", "best_index", "best_idx", "winner_index", "preferred_index", "selected_index"),
        *("best", "best_response", "best_answer", "chosen_response", "chosen"),
    ),
    "judge_prompt": ("g1_user_prompt",),
    "tree": ("tree", "prompt"),
    "category": ("category", "subset", "task"),
}
"""Column names that a field with null in `data.columns` is looked for under; case, and the `Input.` and `Answer.` of
labelling sites, do not matter."""
FILE_NAME = "file_name"
"""As `data.columns.prompt`: the name of the file is the prompt."""
KEY = "data.columns"
_SITE = re.compile(r"^(input|answer)\.")
_VOTE = re.compile(r"annotator_?\d+")
"""Columns with a vote each; `annotator` alone is who voted."""
_SIDES = ("response_a", "response_b")
_OF_SIDES: dict[str, Callable[[list[str], tuple[str, str]], list[str]]] = {
    "models": model_columns,
    "scores": lambda names, sides: columns_of_sides("score", names, sides),
}
"""Fields of comparisons with a column of each response."""
_GAMES = ("g1_winner", "g2_winner")
_NUMBERED = re.compile(r"(prediction|response|completion|answer|output|candidate)[ _.]?\d+")


def columns_of(data: Data, form: str, names: Sequence[str], *, strict: bool) -> dict[str, list[str]]:
    """The columns of each field of a format that a source has.

    Args:
        data: of the parameters, with the source's name.
        form: the format.
        names: of the source's columns.
        strict: the format was named: what it needs has to be there.

    Raises:
        PipelineError: with `strict`, a column is missing.
    """
    columns: dict[str, list[str]] = {}
    by_sides = sides_by_name(data, names)
    for field in (*FIELDS[form], *OPTIONAL.get(form, ())):
        named = getattr(data.columns, field)
        if field == "context" and columns.get("prompt") != ["instruction"] and named is None:
            continue
        if named is None:
            taken = {name for used in columns.values() for name in used} | set(data.ignore_columns or ())
            left = [name for name in names if name not in taken]
            if form == "comparisons" and field in _OF_SIDES:
                sides = [name for side in _SIDES for name in columns.get(side, [])]
                of_sides = _OF_SIDES[field] if field != "scores" or "winner" in columns else numbers_of_sides
                found = of_sides(left, (sides[0], sides[1])) if len(sides) == len(_SIDES) else []
            elif (form, field) == ("scored_responses", "winner"):
                beside = "scores" in columns or "rank" in columns
                found = usual_names("best", left) or ([] if beside else usual_names("winner", left))
            else:
                found = by_sides.get(field) or _usual(form, field, left)
        else:
            wanted = [named] if isinstance(named, str) else named
            missing = [name for name in wanted if name not in names and (field, name) != ("prompt", FILE_NAME)]
            if missing and strict:
                raise PipelineError(
                    f"{KEY}.{field} is {missing[0]!r}, but {data.source} has the columns {', '.join(names)}."
                )
            found = [] if missing else wanted
        if found:
            columns[field] = found
    if strict and not has_fields(form, columns):
        missing_field = next(field for field in FIELDS[form] if field not in columns)
        raise PipelineError(
            f"{KEY}.{missing_field} is null and {data.source} has none of the usual columns "
            f"({', '.join(USUAL_NAMES[missing_field])}) but {', '.join(names)}. Name the column of {missing_field}."
        )
    if category := _category_columns(data, form, names, columns):
        columns["category"] = category
    return columns


def has_fields(form: str, columns: Mapping[str, list[str]]) -> bool:
    """Whether a format has the columns that it needs: of comparisons, scores may stand for the winner."""
    missing = [field for field in FIELDS[form] if field not in columns]
    return not missing or (form == "comparisons" and missing == ["winner"] and "scores" in columns)


def sides_by_name(data: Data, names: Sequence[str]) -> dict[str, list[str]]:
    """The columns of a first and a second response, where they are named for it but have no usual names."""
    names = [name for name in names if name not in (data.ignore_columns or ())]
    named = data.columns.response_a or data.columns.response_b
    if named or all(usual_names(field, names) for field in _SIDES):
        return {}
    return {field: [name] for field, name in zip(_SIDES, response_columns(names), strict=False)}


def side_columns(names: Sequence[str]) -> tuple[str, str] | None:
    """The columns of a first and a second response, by their usual names or as the only two."""
    usual = [name for field in _SIDES for name in usual_names(field, names)]
    found = usual if len(usual) == len(_SIDES) else response_columns(names)
    return (found[0], found[1]) if found else None


def _category_columns(data: Data, form: str, names: Sequence[str], columns: Mapping[str, list[str]]) -> list[str]:
    """The columns of the category, which may be fields as well: those that are named, or else the usual ones."""
    named = data.columns.category
    verdicts = {name for field in VERDICTS if form != "labelled_texts" for name in columns.get(field, [])}
    wanted = [named] if isinstance(named, str) else named
    if wanted and set(wanted) <= set(names) - verdicts:
        return wanted
    taken = {name for used in columns.values() for name in used}
    return _usual(form, "category", [name for name in names if name not in taken])


def _usual(form: str, field: str, names: Sequence[str]) -> list[str]:
    """The columns among `names` that a field usually has."""
    if (form, field) == ("judgements", "winner"):
        return list(_GAMES) if set(_GAMES) <= set(names) else []
    if (form, field) == ("round_robin", "responses"):
        return [name for name in names if _NUMBERED.fullmatch(name)]
    if (form, field) == ("scored_responses", "rank"):
        return usual_names("ranks", names)
    if field == "winner" and (votes := [name for name in names if _VOTE.fullmatch(name)]):
        return votes
    if (form, field) == ("comparisons", "winner"):
        return usual_names("winner", names) or usual_names("winners", names)
    return usual_names(field, names)


def columns_in(named: str | Sequence[str] | None) -> list[str]:
    """The columns of a field of `data.columns` that may be one, several, or none."""
    return [named] if isinstance(named, str) else list(named or [])


def usual_names(field: str, names: Sequence[str]) -> list[str]:
    """The column that has the first usual name of a field, if one has."""
    by_plain_name = {_SITE.sub("", name.casefold()): name for name in reversed(names)}
    return [by_plain_name[usual] for usual in USUAL_NAMES[field] if usual in by_plain_name][:1]
