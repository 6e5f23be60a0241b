"""ms-swift: a conversation whose last turn is preferred, and what is rejected in its place."""

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import first_of
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.layouts.turns import exchange, instruction, pair, question, refuse_tools, turns
from pipeline.reading.rows import Row
from pipeline.reading.written_messages import structure

_QUERY = ("query", "prompt", "question", "instruction", "input")
_RESPONSE = ("response", "output", "answer")
_MEDIA = ("tools", "images", "videos", "audios", "objects")


def _convert(row: Row) -> Converted:
    refuse_tools(row)
    said = turns(row["messages"], system=row.get("system"))
    if said[-1]["role"] != "assistant":
        raise Unreadable("response_is_not_the_assistants", said[-1]["role"])
    rejected = structure(first_of(row, "rejected_response", "rejected_messages"))
    return [pair(question(said[:-1]), said[-1]["content"], rejected)]


def _query(row: Row) -> Converted:
    refuse_tools(row)
    asked, system = instruction(row, *_QUERY), first_of(row, "system", "system_prompt")
    chosen, rejected = first_of(row, *_RESPONSE), row["rejected_response"]
    return [exchange(asked, chosen, rejected, system=system, earlier=row.get("history"))]


MS_SWIFT = Layout(
    name="ms_swift",
    origin="swift.readthedocs.io/en/latest/Customization/Custom-dataset.html, RLHF; github.com/modelscope/ms-swift, "
    "swift/template/template_inputs.py",
    form="preference_pairs",
    needs=(("messages",), ("rejected_response", "rejected_messages")),
    reads=("system", "rejected_images", *_MEDIA),
    not_beside=("chosen",),
    coding="the last turn of `messages` over `rejected_response`, and where there is none over the last turn of "
    "`rejected_messages`",
    convert=_convert,
)
MS_SWIFT_QUERY = Layout(
    name="ms_swift_query",
    origin="swift.readthedocs.io/en/latest/Customization/Custom-dataset.html, query-response and alpaca formats; "
    "github.com/modelscope/ms-swift, swift/llm/dataset/preprocessor/core.py",
    form="preference_pairs",
    needs=(_QUERY, _RESPONSE, ("rejected_response",)),
    reads=("system", "system_prompt", "history", *_MEDIA),
    not_beside=("messages", "conversation", "chosen", "chosen_response"),
    coding="`response` (or `output`, `answer`) over `rejected_response`, after the turns of `history` and `query` (or "
    "`prompt`, `question`, `instruction` with `input`), with `system` as the first turn",
    convert=_query,
)
