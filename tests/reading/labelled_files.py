"""Files with labelled texts in data/raw, read as sources."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from pipeline.errors import PipelineError
from pipeline.params.data import Data
from pipeline.reading.sources import load_sources
from tests.tiny_models import changed

ROWS: list[dict[str, Any]] = [{"text": "A fine film, caf\u00e9", "label": 1}, {"text": "Dull,\nand long", "label": 0}]
TABLE = [{"text": row["text"], "label": str(row["label"])} for row in ROWS]


def rows_of(data: Data) -> list[dict[str, Any]]:
    return [row for source in load_sources(data) for row in source.rows]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".parquet":
        Dataset.from_list(rows).to_parquet(path)
    else:
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def refused(data: Data, **changes: Any) -> str:
    with pytest.raises(PipelineError) as error:
        load_sources(changed(data, **changes))
    assert "data." in str(error.value)
    return str(error.value)
