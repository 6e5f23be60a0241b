"""Tables that cross a stage: what a schema refuses is named by file, row and column, and nothing is written."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.data.records import read_records
from pipeline.data.tables import TABLES, write_table
from pipeline.errors import PipelineError

ID = "0123456789abcdef"
SAMPLE = {
    "id": ID, "prompt": "p", "category": "all", "response": "", "ended": True, "tokens": 1, "judge_score": 0.5,
    "reward_score": -1.0, "kl_nats": -0.1, "kl_k3_nats": 0.02,
}  # fmt: skip
REFERENCE = {
    "id": "x", "chosen_prompt_ids": [1], "chosen_response_ids": [2], "rejected_prompt_ids": [1],
    "rejected_response_ids": [3], "ref_chosen_logps": -1.5, "ref_rejected_logps": 0.0,
}  # fmt: skip
PAIR = {
    "id": ID, "prompt": "p", "category": "all", "chosen": "a", "rejected": "b", "split": "test",
    "origin": {"file": "f", "rows": [1]},
}  # fmt: skip
GOOD: dict[str, dict[str, Any]] = {
    "labels": {"id": ID, "text": "t", "label": 1},
    "texts": {"id": ID, "prompt": "", "response": "r", "ended": False},
    "prompts": {"id": ID, "prompt": "p", "category": "label=1"},
    "pairs": PAIR,
    "samples": SAMPLE,
    "reference_pairs": REFERENCE,
    "tokenized_pairs": {name: value for name, value in REFERENCE.items() if not name.startswith("ref_")},
}


@pytest.mark.parametrize("table", TABLES)
def test_a_good_table_is_written_as_it_is(table: str, tmp_path: Path) -> None:
    write_table(tmp_path / "rows.jsonl", [GOOD[table]], table)
    assert read_records(tmp_path / "rows.jsonl") == [GOOD[table]]
    write_table(tmp_path / "none.jsonl", [], table)
    assert read_records(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("labels", "label", 2),
        ("labels", "text", ""),
        ("texts", "ended", 1),
        ("prompts", "id", "other"),
        ("pairs", "split", "evaluation"),
        ("samples", "judge_score", 1.5),
        ("samples", "kl_nats", float("nan")),
        ("samples", "kl_k3_nats", -0.1),
        ("samples", "category", ""),
        ("samples", "tokens", -1),
        ("reference_pairs", "ref_chosen_logps", 0.1),
        ("reference_pairs", "ref_rejected_logps", float("-inf")),
        ("reference_pairs", "chosen_response_ids", []),
        ("tokenized_pairs", "rejected_response_ids", []),
    ],
)
def test_what_a_schema_refuses_is_named(table: str, column: str, value: Any, tmp_path: Path) -> None:
    good = GOOD[table]
    second = {**good, "id": ID.replace("0", "1") if good["id"] == ID else "y", column: value}
    with pytest.raises(PipelineError, match=rf"rows\.jsonl.*{column}"):
        write_table(tmp_path / "rows.jsonl", [good, second], table)
    assert not (tmp_path / "rows.jsonl").exists()


def test_an_id_is_there_once(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="id"):
        write_table(tmp_path / "rows.jsonl", [GOOD["prompts"]] * 2, "prompts")
