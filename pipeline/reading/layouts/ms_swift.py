"""ms-swift: a conversation whose last turn is preferred, and what is rejected in its place."""

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import first_of, structure
from pipeline.reading.layouts.layout import Converted, Layout, Row
from pipeline.reading.layouts.turns import pair, question, refuse_tools, turns


def _convert(row: Row) -> Converted:
    refuse_tools(row)
    said = turns(row["messages"], system=row.get("system"))
    if said[-1]["role"] != "assistant":
        raise Unreadable("response_is_not_the_assistants")
    rejected = structure(first_of(row, "rejected_response", "rejected_messages"))
    return [pair(question(said[:-1]), said[-1]["content"], rejected)]


MS_SWIFT = Layout(
    name="ms_swift",
    origin="swift.readthedocs.io/en/latest/Customization/Custom-dataset.html, RLHF; github.com/modelscope/ms-swift, "
    "swift/template/template_inputs.py",
    form="preference_pairs",
    needs=(("messages",), ("rejected_response", "rejected_messages")),
    reads=("system", "tools", "images", "videos", "audios", "objects", "rejected_images"),
    not_beside=("chosen",),
    coding="the last turn of `messages` over `rejected_response`, and where there is none over the last turn of "
    "`rejected_messages`",
    convert=_convert,
)
