"""Preference fine-tuning as OpenAI and Azure take it."""

from collections.abc import Mapping

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import first_pair
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.layouts.turns import pair, question, refuse_tools
from pipeline.reading.rows import Row
from pipeline.reading.written_messages import structure

_PAIRS = (("preferred_output", "non_preferred_output"), ("preferred_completion", "non_preferred_completion"))


def _convert(row: Row) -> Converted:
    given = structure(row["input"])
    if not isinstance(given, Mapping) or "messages" not in given:
        raise Unreadable("no_messages", given)
    refuse_tools(given)
    return [pair(question(given["messages"]), *first_pair(row, _PAIRS))]


OPENAI = Layout(
    name="openai_preference",
    origin="developers.openai.com/api/docs/guides/direct-preference-optimization, data format; "
    "hexdocs.pm/ex_openai/ExOpenAI.Components.FineTunePreferenceRequestInput.html",
    form="preference_pairs",
    needs=(("input",), *zip(*_PAIRS, strict=True)),
    coding="`preferred_output` over `non_preferred_output`, or `preferred_completion` over `non_preferred_completion`, "
    "after `input.messages`",
    convert=_convert,
)
