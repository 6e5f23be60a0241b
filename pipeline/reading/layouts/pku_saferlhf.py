"""PKU-SafeRLHF: two responses, and which is better and which safer."""

from pipeline.reading.layouts.cells import text, whole
from pipeline.reading.layouts.layout import Converted, Layout
from pipeline.reading.rows import Row


def _convert(row: Row) -> Converted:
    asked = "better_response_id" if "better_response_id" in row else "safer_response_id"
    winner = whole(row[asked], (0, 1))
    found = {"prompt": row["prompt"], "response_a": text(row["response_0"]), "response_b": text(row["response_1"])}
    return [{**found, "winner": "ab"[winner]}]


PKU_SAFERLHF = Layout(
    name="pku_saferlhf",
    origin="huggingface.co/datasets/PKU-Alignment/PKU-SafeRLHF, card; github.com/PKU-Alignment/align-anything, "
    "align_anything/configs/format_dataset.py, PKUSafeRLHF; github.com/allenai/open-instruct, "
    "open_instruct/safety/process_beavertail.py",
    form="comparisons",
    needs=(("prompt",), ("response_0",), ("response_1",), ("better_response_id", "safer_response_id")),
    coding="`better_response_id` (helpfulness), in a source without this column `safer_response_id`: 0 is "
    "`response_0`, 1 is `response_1`",
    convert=_convert,
)
