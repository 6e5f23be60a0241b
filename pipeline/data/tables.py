"""The schema of every table that one stage hands to another, checked when it is written.

Preference pairs on their way into training have a contract of their own, in `pipeline.validation`.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from pipeline.data.records import write_records
from pipeline.errors import PipelineError

_IDENTITY = pa.Column(str, pa.Check.str_matches("^[0-9a-f]{16}$"))
_TEXT = pa.Column(str, pa.Check.str_length(min_value=1))
_FINITE = pa.Check(lambda values: np.isfinite(values), name="finite")
_TOKEN_IDS = pa.Column(object, pa.Check(lambda cells: cells.map(len) > 0, name="not_empty"))
_SIDES = ("chosen", "rejected")
TABLES = {
    "labels": pa.DataFrameSchema(
        {
            "id": _IDENTITY,
            "text": _TEXT,
            "label": pa.Column(int, pa.Check.isin([0, 1])),
            # of texts that a pair gave
            "prompt": pa.Column(str, required=False, nullable=True),
        },
        strict=True,
    ),
    "texts": pa.DataFrameSchema(
        {
            "id": _IDENTITY,
            "prompt": pa.Column(str),
            "response": pa.Column(str),
            "ended": pa.Column(bool),
            **{name: pa.Column(required=False, nullable=True) for name in ("preferred", "turns", "turns_lost")},
        },
        unique=["id"],
        strict=True,
    ),
    "prompts": pa.DataFrameSchema({"id": _IDENTITY, "prompt": _TEXT, "category": _TEXT}, unique=["id"], strict=True),
    "pairs": pa.DataFrameSchema(
        {
            "id": _IDENTITY,
            **{name: pa.Column(str) for name in ("prompt", "chosen", "rejected")},
            "category": _TEXT,
            "split": pa.Column(str, pa.Check.isin(["train", "validation", "test"])),
            "origin": pa.Column(object),
            **{f"{side}_score": pa.Column(float, _FINITE, required=False, nullable=True) for side in _SIDES},
            "votes": pa.Column(object, required=False, nullable=True),
        },
        unique=["id"],
        strict=True,
    ),
    "reference_pairs": pa.DataFrameSchema(
        {
            "id": pa.Column(str),
            **{f"{side}_{part}_ids": _TOKEN_IDS for side in _SIDES for part in ("prompt", "response")},
            # of a whole response, in nats: certain at best, up to rounding
            **{f"ref_{side}_logps": pa.Column(float, [_FINITE, pa.Check.le(1e-3)]) for side in _SIDES},
        },
        unique=["id"],
        strict=True,
    ),
    "tokenized_pairs": pa.DataFrameSchema(
        {
            "id": pa.Column(str),
            **{f"{side}_{part}_ids": _TOKEN_IDS for side in _SIDES for part in ("prompt", "response")},
        },
        unique=["id"],
        strict=True,
    ),
    "samples": pa.DataFrameSchema(
        {
            "id": _IDENTITY,
            "prompt": _TEXT,
            "category": _TEXT,
            "response": pa.Column(str),
            "ended": pa.Column(bool),
            "tokens": pa.Column(int, pa.Check.ge(0)),
            "judge_score": pa.Column(float, pa.Check.in_range(0, 1)),
            "second_judge_score": pa.Column(float, pa.Check.in_range(0, 1), nullable=True, coerce=True, required=False),
            "reward_score": pa.Column(float, _FINITE),
            "kl_nats": pa.Column(float, _FINITE),
            # never negative, up to rounding
            "kl_k3_nats": pa.Column(float, [_FINITE, pa.Check.ge(-1e-3)]),
        },
        unique=["id"],
        strict=True,
    ),
}
_BATCH = 2_000


def write_table(path: Path, rows: Iterable[Mapping[str, object]], table: str) -> None:
    """Write rows as JSON Lines, if the schema of `table` accepts all of them.

    Raises:
        PipelineError: the schema refuses a row, naming file, row and column.
    """
    write_records(path, _checked(path, rows, table))


def _checked(path: Path, rows: Iterable[Mapping[str, object]], table: str) -> Iterator[Mapping[str, object]]:
    remaining, start = iter(rows), 0
    while batch := list(islice(remaining, _BATCH)):
        check_rows(path, batch, table, start)
        yield from batch
        start += len(batch)


def check_rows(path: Path, rows: Iterable[Mapping[str, object]], table: str, start: int) -> None:
    """Refuse rows that the schema of `table` does not accept.

    Args:
        path: the file that the rows are for.
        start: the number of rows of the file before them.

    Raises:
        PipelineError: the schema refuses a row, naming file, row and column.
    """
    try:
        TABLES[table].validate(pd.DataFrame(rows), lazy=True)
    except SchemaErrors as error:
        case = error.failure_cases.iloc[0]
        row = "" if pd.isna(case["index"]) else f", row {int(case['index']) + start + 1}"
        raise PipelineError(
            f"{path.name}{row}, {case['column']}: {case['failure_case']!r} breaks the rule {case['check']} of table "
            f"{table}. This is an error of the pipeline, not of the data: please report it."
        ) from error
