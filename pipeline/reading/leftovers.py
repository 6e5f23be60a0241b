"""What of a source no field uses: columns, and keys inside messages; some of it may not be left in silence."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.errors import PipelineError
from pipeline.params.schema import Data
from pipeline.reading.layouts.registry import LAYOUTS
from pipeline.reading.rows import BROKEN
from pipeline.reading.sources import Source

_ROWS = 2000
"""Rows, from all over a source, in which a column has to hold something to count."""
_WITHOUT_PREFERENCES = frozenset({"prompts", "texts", "demonstrations", "labelled_texts"})
_NOUN = r"(?:response|answer|output|completion|candidate|prediction|generation|reply|conversation|model|text|option)"
_RESEMBLES = {
    "preference_pairs": rf"(?:.*_)?(?:chosen|rejected|non_?preferred|dispreferred|pos|neg|positive|negative|loser)"
    rf"(?:_.*)?|preferred_{_NOUN}|(?:better|worse|best|worst)_{_NOUN}",
    "comparisons": rf"{_NOUN}s?[ _.-]?(?:[ab]|\d+)(?:[ _.].*)?|[ab][ _.-]?{_NOUN}|winner(?:[_.].*)?|preferences?"
    r"|preferred|better(?:_.*)?|vote|verdict|choice|annotator_?\d+|preference_.*|.*_preference",
    "scored_responses": r"responses|completions|candidates|outputs|generations|answers|ratings|scores",
    "ratings": r"rating|score|.*_(?:rating|score)|reward|upvotes|labels?",
    "rankings": r"ranks?|ranking|.*_rank",
}
_NEEDS = {
    "preference_pairs": ("prompt", "chosen", "rejected"),
    "comparisons": ("prompt", "response_a", "response_b", "winner"),
    "scored_responses": ("prompt", "responses", "scores"),
    "ratings": ("prompt", "response", "score"),
    "rankings": ("prompt", "response", "rank"),
}
_CHANGES_MEANING = re.compile(
    r"system|system_?prompt|system_?message|history|tools|tool_calls|functions|function_calls?|images?|videos?|audios?"
    r"|instruction|input",
    re.IGNORECASE,
)
_MESSAGE_FIELDS = frozenset({"role", "content", "from", "value", "text"})


def unused_columns(source: Source, data: Data) -> list[str]:
    """Columns that no field of a resolved `data` names and its layout does not read, in the order of the source."""
    named = (name for name in data.columns.model_dump().values() if name is not None)
    used = {name for one in named for name in (one if isinstance(one, list) else [one])}
    used |= set(LAYOUTS[data.format].uses) if data.format in LAYOUTS else set()
    return [name for name in source.rows.column_names if name not in used]


def unused_fields(source: Source, data: Data) -> list[str]:
    """Keys of messages that nothing reads, as `messages.name`, in a sample of the rows."""
    unused = set(unused_columns(source, data))
    columns = [name for name in source.rows.column_names if name not in unused]
    found = {
        f"{name}.{key}"
        for row in _sampled(source)
        for name in columns
        for message in _messages(row.get(name))
        for key, value in message.items()
        if key not in _MESSAGE_FIELDS and value not in (None, "", [], {})
    }
    return sorted(found)


def _messages(value: Any) -> Iterable[Mapping[str, Any]]:
    """Messages of a chat; a mapping without a role is another thing."""
    entries = value if isinstance(value, list) else [value]
    return (one for one in entries if isinstance(one, Mapping) and one.keys() & {"role", "from"})


def refuse_leftovers(source: Source, data: Data, *, auto: bool) -> None:
    """Stop where an unused column holds preferences, or changes what the others mean.

    Args:
        auto: the format was found, not named.

    Raises:
        PipelineError: naming the columns, the format that they resemble, and what to set.
    """
    ignored = data.ignore_columns or []
    names = [name for name in unused_columns(source, data) if name not in ignored]
    if auto and data.format in _WITHOUT_PREFERENCES:
        for form, pattern in _RESEMBLES.items():
            found = [name for name in names if re.fullmatch(pattern, name.strip(), re.IGNORECASE)]
            if found := _filled(source, found):
                raise PipelineError(_preferences(source, data, form, found))
    if meaning := _filled(source, [name for name in names if _CHANGES_MEANING.fullmatch(name.strip())]):
        shown = ", ".join(meaning)
        raise PipelineError(
            f"{source.name}: {shown} would not be read ({data.format} uses "
            f"{', '.join(sorted(set(source.rows.column_names) - set(unused_columns(source, data))))}), though it may "
            "change what a row means. Name it in data.columns, write it into the chat of each row, or, where it may be "
            f"left out, add to params.yaml under data: ignore_columns: [{shown}]."
        )


def _preferences(source: Source, data: Data, form: str, found: list[str]) -> str:
    fields = ", ".join(f"data.columns.{field}" for field in _NEEDS[form])
    return (
        f"{source.name} has the columns {', '.join(source.rows.column_names)}. By {', '.join(found)} it looks like "
        f"preferences ({form}), but other columns alone fit a format ({data.format}), and these would be lost. Set "
        f"data.format: {form} and name the columns in {fields}; or set data.format: {data.format} where the others are "
        f"meant, or data.ignore_columns: [{', '.join(found)}]."
    )


def _filled(source: Source, names: list[str]) -> list[str]:
    """Those with a value in any of the rows that are looked at."""
    if not names:
        return []
    rows = list(_sampled(source))
    return [name for name in names if any(row.get(name) not in (None, "", [], {}) for row in rows)]


def _sampled(source: Source) -> Iterable[Mapping[str, Any]]:
    count = len(source.rows)
    indices = range(count) if count <= _ROWS else [at * count // _ROWS for at in range(_ROWS)]
    return (row for at in indices if BROKEN not in (row := source.rows[at]))
