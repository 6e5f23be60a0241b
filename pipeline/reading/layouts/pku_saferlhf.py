"""PKU-SafeRLHF: two responses, and which is better and which safer."""

from pipeline.reading.layouts.cells import text, whole
from pipeline.reading.layouts.layout import Converted, Layout, Row


def _convert(row: Row) -> Converted:
    named = row.get("better_response_id")
    winner = whole(row.get("safer_response_id") if named is None else named, (0, 1))
    found = {"prompt": row["prompt"], "response_a": text(row["response_0"]), "response_b": text(row["response_1"])}
    return [{**found, "winner": "ab"[winner]}]


PKU_SAFERLHF = Layout(
    name="pku_saferlhf",
    origin="PKU-Alignment/PKU-SafeRLHF, data set card; Ji et al. 2024, arXiv:2406.15513",
    form="comparisons",
    needs=(("prompt",), ("response_0",), ("response_1",), ("better_response_id", "safer_response_id")),
    coding="`better_response_id` (helpfulness), where it is missing `safer_response_id`: 0 is `response_0`, 1 is "
    "`response_1`",
    convert=_convert,
)
