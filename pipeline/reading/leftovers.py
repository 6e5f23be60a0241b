"""Parts of a source that no field uses: columns, and keys inside messages. Some must not be ignored silently."""

import re
from collections.abc import Sequence
from typing import Any

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.reading.code_columns import code_columns
from pipeline.reading.fields import columns_in
from pipeline.reading.layouts.registry import LAYOUTS
from pipeline.reading.rows import Row
from pipeline.reading.samples import sample_rows
from pipeline.reading.sides import named_sides
from pipeline.reading.sources import Source
from pipeline.reading.unread_fields import unread_by_format, unread_by_layout
from pipeline.reading.unread_meaning import meaning_changed_by
from pipeline.reading.unread_verdicts import comparison_lines, refuse_two_texts, refuse_unread_codes, verdict_lines

_WITHOUT_PREFERENCES = frozenset({"prompts", "texts", "demonstrations", "labelled_texts"})
_NOUN = r"(?:response|answer|output|completion|candidate|prediction|generation|reply|conversation|model|text|option)"
_SIDE = rf"{_NOUN.replace('|model', '')}[ _.-]?(?:[ab]|\d+)"
_QUALITY = (
    "better|worse|best|worst|winning|losing|good|bad|accepted|refused|correct|incorrect|wrong|corrected|edited|revised"
    "|rewritten|improved|refined|alternative|alternate|alt|other|second|original|initial|draft|preferred|unsafe|harmful"
)
_RESEMBLES = {
    "preference_pairs": rf"(?:.*_)?(?:chosen|rejected|non_?preferred|dispreferred|pos|neg|positives?|negatives?|loser)"
    rf"(?:_.*)?|(?:{_QUALITY})[ _.-]?{_NOUN}s?|{_NOUN}[ _.-](?:{_QUALITY})|win|lose|y_?[wl]|accepted|refused"
    r"|worse|best|worst|good|bad|incorrect|wrong|alternatives?|corrections?|corrected|rewrites?|rewritten"
    r"|revisions?|revised|edited|improved|improvement",
    "comparisons": rf"{_NOUN}s?[ _.-]?(?:[ab]|\d+)(?:[ _.].*)?|[ab][ _.-]?{_NOUN}|winner(?:[_.].*)?|preferences?"
    r"|preferred|better(?:_.*)?|vote|verdict|choice|annotator_?\d+|preference_.*|.*_preference",
    "scored_responses": r"responses|completions|candidates|outputs|generations|answers|ratings|scores",
    "ratings": r"rating|score|.*_(?:rating|score)|reward|(?:.*_)?(?:up)?votes|likes|stars|quality|labels?|likert"
    r"|grades?|toxicity|judge?ments?",
    "rankings": r"ranks?|ranking|.*_rank",
    "thumbs": r"thumbs?(?:[ _-]?(?:up|down))?|(?:is_)?(?:liked|disliked|upvoted|downvoted)|feedback"
    r"|correct|helpful|is_(?:preferred|chosen|rejected|accepted|good|bad|better|best|helpful|correct)",
}
_BETTER = re.compile(
    r"(?:.*_)?(?:chosen|preferred|pos|positive|win|winning|good|better|best|correct|accepted|y_?w)(?:_.*)?"
)
_WORSE = re.compile(
    r"(?:.*_)?(?:rejected|non_?preferred|dispreferred|neg|negative|lose|losing|loser|bad|worse|worst|wrong|incorrect"
    r"|refused|unsafe|harmful|y_?l)(?:_.*)?"
)
_ANCHOR = "anchor"
"""The first text of the triplets of sentence-transformers (sbert.net/examples/datasets/README.html): its positive is a
text that is like it, a response or not, so that only the user can say that they are preferences."""
_NEEDS = {
    "preference_pairs": ("prompt", "chosen", "rejected"),
    "comparisons": ("prompt", "response_a", "response_b", "winner"),
    "scored_responses": ("prompt", "responses", "scores"),
    "ratings": ("prompt", "response", "score"),
    "rankings": ("prompt", "response", "rank"),
    "thumbs": ("prompt", "response", "label"),
}
_OPPOSITES = tuple(
    frozenset(two.split())
    for two in (
        *("chosen rejected", "accepted rejected", "preferred rejected", "preferred dispreferred", "up down"),
        *("thumbs_up thumbs_down", "thumbsup thumbsdown", "good bad", "like dislike", "liked disliked", "win lose"),
        *("upvote downvote", "better worse", "desirable undesirable", "👍 👎"),
    )
)
"""Words that say of a response whether it is wanted, whatever their column is called."""


def unused_columns(source: Source, data: Data) -> list[str]:
    """Columns that no field of a resolved `data` names and its layout does not read, in the order of the source."""
    used = {name for named in data.columns.model_dump().values() for name in columns_in(named)}
    if layout := LAYOUTS.get(data.format):
        used |= set(layout.uses) - set(unread_by_layout(_sample(source), layout))
    return [name for name in source.rows.column_names if name not in used]


def unused_fields(source: Source, data: Data) -> list[str]:
    """Keys of messages and of other objects that nothing reads, as `messages.name`, in a sample of the rows."""
    names = source.rows.column_names
    if layout := LAYOUTS.get(data.format):
        found = unread_by_layout(_sample(source), layout)
        return sorted(path for path in found if path not in names and path.partition(".")[0] in layout.uses)
    unused = unused_columns(source, data)
    return sorted(unread_by_format(_sample(source), data, [name for name in names if name not in unused]))


def refuse_leftovers(source: Source, data: Data, *, auto: bool) -> None:
    """Stop where an unused column holds preferences, or changes what the others mean.

    Args:
        auto: the format was found, not named.

    Raises:
        PipelineError: naming the columns, the format that they resemble, and what to set.
    """
    ignored = data.ignore_columns or []
    unused = unused_columns(source, data)
    names = [name for name in unused if name not in ignored]
    if auto and data.format in _WITHOUT_PREFERENCES:
        refuse_two_texts(source, data, _sample(source), _sentences(source, names))
        for form, pattern in _RESEMBLES.items():
            if found := _filled(source, [name for name in names if re.fullmatch(pattern, _plain(name))]):
                raise PipelineError(_preferences(source, data, form, found))
        if found := _verdicts(source, names):
            raise PipelineError(_preferences(source, data, "thumbs", found))
        refuse_unread_codes(source, data, _sample(source), names)
        if data.format == "prompts" and len(found := _sentences(source, names)) > 1:
            raise PipelineError(_preferences(source, data, "preference_pairs", found))
    if auto and data.format == "preference_pairs" and len(found := _sides(source, data, names)) > 1:
        raise PipelineError(
            f"{source.name} has chosen and rejected, and responses in {', '.join(found)} that nothing would read. If "
            "chosen and rejected name one of these, set data.format: comparisons, data.columns.response_a, "
            "data.columns.response_b, and data.columns.winner to the column of the chosen one; if they are the "
            f"responses themselves, set data.ignore_columns: [{', '.join(found)}]."
        )
    if meaning := meaning_changed_by(source, data, names):
        shown = ", ".join(meaning)
        raise PipelineError(
            f"{source.name}: {shown} would not be read ({data.format} uses "
            f"{', '.join(sorted(set(source.rows.column_names) - set(unused)))}), though it may change what a row means."
            " Name it in data.columns (what a prompt is about in context), write it into the chat of each row, or, "
            f"where it may be left out, add to params.yaml under data: ignore_columns: [{shown}]."
        )


def likely_preferences(source: Source) -> str:
    """Advice on what to set where the columns of a source fit no format but look like preferences; otherwise empty."""
    for form in ("preference_pairs", "comparisons", "scored_responses"):
        found = [name for name in source.rows.column_names if re.fullmatch(_RESEMBLES[form], _plain(name))]
        if found:
            fields = _fields(form, found, prompt=_ANCHOR if _ANCHOR in source.rows.column_names else None)
            return f"By {', '.join(found)} these may be preferences: then set data.format: {form} and {fields}."
    return ""


def _plain(name: str) -> str:
    """Words with underscores between them: `worseResponse` is `worse_response`."""
    return re.sub(r"(?<=[a-z\d])(?=[A-Z])", "_", name.strip()).casefold()


def _fields(form: str, found: Sequence[str], *, prompt: str | None, response: str | None = None) -> str:
    """The keys to set, with the columns where their names leave nothing open.

    Args:
        found: columns that look like preferences.
        prompt: the column of the prompt, where it is known.
        response: the column of the only response that was found otherwise.
    """
    known = {"prompt": prompt}
    if form == "preference_pairs":
        worse = [name for name in found if _WORSE.fullmatch(_plain(name))]
        better = [name for name in found if name not in worse and _BETTER.fullmatch(_plain(name))]
        known["rejected"] = worse[0] if len(worse) == 1 else None
        known["chosen"] = better[0] if len(better) == 1 else response if worse and not better else None
    shown = [f"data.columns.{field}" + (f": {known[field]}" if known.get(field) else "") for field in _NEEDS[form]]
    return ", ".join(shown)


def _preferences(source: Source, data: Data, form: str, found: list[str]) -> str:
    if form == "preference_pairs" and data.columns.response and len(code_columns(_sample(source), found)) == len(found):
        form = "thumbs"  # `is_rejected` has no texts
    fields = _fields(form, found, prompt=data.columns.prompt, response=data.columns.response)
    lines = ""
    if form == "comparisons" and (pair := named_sides(found)):
        others = [name for name in source.rows.column_names if name not in (data.ignore_columns or [])]
        lines = comparison_lines(data, _sample(source), pair, others)
    elif form in ("thumbs", "ratings", "rankings") and data.columns.response:
        lines = verdict_lines(data, _sample(source), found)
    return (
        f"{source.name} has the columns {', '.join(source.rows.column_names)}. By {', '.join(found)} it looks like "
        f"preferences ({form}), but other columns alone fit a format ({data.format}), and these would be lost. Set "
        f"data.format: {form} and name the columns in {fields}; or set data.format: {data.format} where the others are "
        f"meant, or data.ignore_columns: [{', '.join(found)}].{lines}"
    )


def _verdicts(source: Source, names: list[str]) -> list[str]:
    """Columns whose values are opposites, both of which occur."""
    rows = _sample(source) if names else []
    found = {name: {row[name] for row in rows if isinstance(row.get(name), str)} for name in names}
    plain = {name: {value.strip().casefold() for value in values} for name, values in found.items()}
    return [name for name, values in plain.items() if any(two <= values for two in _OPPOSITES)]


def _sentences(source: Source, names: list[str]) -> list[str]:
    """Columns with texts of several words, or lists of them, nearly all different: likely responses."""
    rows = _sample(source) if names else []
    found = {name: [text for row in rows if (text := _joined(row.get(name)))] for name in names}
    return [name for name, values in found.items() if len(values) > 1 and _are_sentences(values)]


def _joined(value: Any) -> str:
    parts = value if isinstance(value, list) else [value]
    return " ".join(part.strip() for part in parts if isinstance(part, str))


def _are_sentences(values: list[str]) -> bool:
    long = sum(1 for value in values if len(value.split()) > 3 or (len(value) > 8 and not value.isascii()))
    return long > len(values) / 2 and len(set(values)) > len(values) / 2


def _sides(source: Source, data: Data, names: list[str]) -> list[str]:
    """Filled columns of a first and a second response, where chosen and rejected do not hold what they say."""
    found = _filled(source, [name for name in names if re.fullmatch(_SIDE, _plain(name))])
    pair = [name for name in (data.columns.chosen, data.columns.rejected) if name]
    rows = _sample(source) if len(found) > 1 else []
    repeated = sum(1 for row in rows if all(_holds(row.get(one), [row.get(name) for name in found]) for one in pair))
    return [] if repeated > len(rows) / 2 else found


def _holds(value: Any, sides: list[Any]) -> bool:
    return any(side not in (None, "") and str(side) in str(value) for side in sides)


def _filled(source: Source, names: list[str]) -> list[str]:
    """The names with a value in any of the rows that are looked at."""
    if not names:
        return []
    rows = _sample(source)
    return [name for name in names if any(row.get(name) not in (None, "", [], {}) for row in rows)]


def _sample(source: Source) -> list[Row]:
    """Rows in which a column has to hold something to count."""
    return [row for _, row in sample_rows(source, source.rows.column_names)]
