"""Preference fine-tuning as OpenAI and Azure take it."""

from collections.abc import Mapping

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import first_of, structure
from pipeline.reading.layouts.layout import Converted, Layout, Row
from pipeline.reading.layouts.turns import pair, question, refuse_tools

_CHOSEN = ("preferred_output", "preferred_completion")
_REJECTED = ("non_preferred_output", "non_preferred_completion")


def _convert(row: Row) -> Converted:
    given = structure(row["input"])
    if not isinstance(given, Mapping) or "messages" not in given:
        raise Unreadable("no_messages")
    refuse_tools(given)
    return [pair(question(given["messages"]), first_of(row, *_CHOSEN), first_of(row, *_REJECTED))]


OPENAI = Layout(
    name="openai_preference",
    origin="OpenAI API, guide to direct preference optimization; developers.openai.com/api/docs/guides/"
    "direct-preference-optimization",
    form="preference_pairs",
    needs=(("input",), _CHOSEN, _REJECTED),
    coding="`preferred_output` over `non_preferred_output`, after `input.messages`",
    convert=_convert,
)
