"""The rules of the contract, as pandera schemas: round by round, what makes a pair unfit for training."""

import enum
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from pipeline.data.records import fold, record_id
from pipeline.errors import PipelineError
from pipeline.params.schema import ValidatePreferences

REASONS = {
    "missing_field": "a field of the contract is absent",
    "wrong_type": "a field is of another type; split and source outside their values, a number that is not finite",
    "not_utf8": "a text with a lone surrogate or NUL, which UTF-8 files or tokenizers cannot hold",
    "blank_text": "id, prompt or response of white space and zero-width characters only",
    "too_long": "prompt or response above validate_preferences.max_characters",
    "negative_margin": "the judge scored the rejected response above the chosen one",
    "identical_pair": "both responses are the same after NFC and white-space folding",
    "length_ratio": "the longer response exceeds validate_preferences.max_length_ratio times the shorter",
    "contradictory_pair": "the set holds this pair in the other direction, too; both are quarantined",
    "split_leakage": "the prompt is also in a split that is held out further; that one keeps it",
    "duplicate_id": "an earlier row has this id",
    "duplicate_pair": "an earlier row has this prompt and these responses",
}
"""Every reason for quarantine, in the order of the rounds."""

SPLITS = ("train", "validation", "test")
"""From what is trained on to what is held out furthest."""

_SOURCES = ("sampled", "given")
_TEXTS = ("prompt", "chosen", "rejected")
_NAMES = ("id", *_TEXTS)
_FLAGS = ("chosen_ended", "rejected_ended")
SCORES = ("margin", "chosen_score", "rejected_score")
_FIELDS = (*_NAMES, *_FLAGS, "split", "source", *SCORES)

# str.strip() keeps what has no width: soft hyphen, joiners, direction marks, variation selectors, byte order mark
_VISIBLE = re.compile(r"[^\s\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")


class _Cell(enum.Enum):
    """Stands in a frame for what a frame cannot hold (a lone surrogate breaks pandas' strings)."""

    MISSING = enum.auto()
    NOT_UTF8 = enum.auto()


def comparable(text: str) -> str:
    """Text in the form in which two texts count as the same: NFC, runs of white space as one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def find_reasons(rows: Sequence[Mapping[str, Any]], settings: ValidatePreferences) -> dict[int, set[str]]:
    """Reasons by position, of the refused rows only."""
    reasons: dict[int, set[str]] = {}
    frame = _refuse(_field_rules(), _as_cells(rows), reasons)
    frame = _refuse(_text_rules(settings), _as_typed(frame), reasons)
    frame = _as_keys(frame)
    for rules in (_pair_rules(settings), _direction_rules(), _leakage_rules(), _repetition_rules()):
        frame = _refuse(rules, frame, reasons)
    return reasons


def _refuse(rules: pa.DataFrameSchema, frame: pd.DataFrame, reasons: dict[int, set[str]]) -> pd.DataFrame:
    """Run one round: note the reasons of the rows it refuses, and return the others."""
    if frame.empty:
        return frame
    try:
        rules.validate(frame, lazy=True)
    except SchemaErrors as error:
        # a rule on the whole frame fails once per column
        cases = error.failure_cases[["index", "check"]].drop_duplicates()
        if cases["index"].isna().any() or not set(cases["check"]) <= set(REASONS):
            raise RuntimeError(f"the contract itself is broken:\n{cases}") from error
        for index, code in zip(cases["index"].tolist(), cases["check"].tolist(), strict=True):
            reasons.setdefault(int(index), set()).add(code)
        return frame.drop(index=cases["index"].unique())
    return frame


def _as_cells(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The fields as they came, in object columns."""
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise PipelineError(f"pair {index} (counted from 0) is a {type(row).__name__}, not an object with fields")
    return pd.DataFrame({name: pd.Series([_cell(row, name) for row in rows], dtype=object) for name in _FIELDS})


def _cell(row: Mapping[str, Any], name: str) -> Any:
    value = row.get(name, _Cell.MISSING)
    return _Cell.NOT_UTF8 if isinstance(value, str) and not _is_utf8(value) else value


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _as_typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The fields in columns of their types; None in a score becomes NaN."""
    text_columns = dict.fromkeys((*_NAMES, "split", "source"), str)
    return frame.astype(text_columns | dict.fromkeys(_FLAGS, bool) | dict.fromkeys(SCORES, float))


def _as_keys(frame: pd.DataFrame) -> pd.DataFrame:
    """What rows are compared by: `forward` and `backward` name a pair in its own and in the other direction."""
    texts = [[comparable(text) for text in frame[name]] for name in _TEXTS]
    lengths = [frame[name].str.len().astype(float) for name in ("chosen", "rejected")]
    keys = {
        "id": frame["id"],
        "split": frame["split"],
        # as prepare_data folds it before it draws the split
        "prompt": [fold(text) for text in frame["prompt"]],
        "forward": [record_id(prompt, chosen, rejected) for prompt, chosen, rejected in zip(*texts, strict=True)],
        "backward": [record_id(prompt, rejected, chosen) for prompt, chosen, rejected in zip(*texts, strict=True)],
        "length_ratio": np.maximum(*lengths) / np.minimum(*lengths),
    }
    return pd.DataFrame(keys, index=frame.index).astype({"prompt": str, "forward": str, "backward": str})


def _field_rules() -> pa.DataFrameSchema:
    """Round 1, each field by itself: is it there, and is it what it should be?"""
    return pa.DataFrameSchema(
        {name: pa.Column(object, _field_checks(name), nullable=True) for name in _FIELDS}, strict=True
    )


def _field_checks(name: str) -> list[pa.Check]:
    # ignore_na=False: pandera would not show a rule the None that it must refuse
    present = pa.Check(lambda cells: cells.map(_is_present), name="missing_field", ignore_na=False)
    typed = pa.Check(lambda cells: cells.map(lambda cell: _has_type(name, cell)), name="wrong_type", ignore_na=False)
    storable = pa.Check(lambda cells: cells.map(_is_storable), name="not_utf8", ignore_na=False)
    return [present, typed, storable] if name in _NAMES else [present, typed]


def _is_present(cell: object) -> bool:
    return cell is not _Cell.MISSING


def _is_storable(cell: object) -> bool:
    return cell is not _Cell.NOT_UTF8


def _has_type(name: str, cell: object) -> bool:
    """Whether the cell has the type of the field; what another rule refuses passes."""
    if cell is _Cell.MISSING:
        return True
    if name in _NAMES:
        return isinstance(cell, str) or cell is _Cell.NOT_UTF8
    if name in _FLAGS:
        return isinstance(cell, bool)
    if name in SCORES:
        return cell is None or _is_finite_number(cell)
    return isinstance(cell, str) and cell in (SPLITS if name == "split" else _SOURCES)


def _is_finite_number(cell: object) -> bool:
    # the comparison is false for NaN, and does not overflow for an integer beyond every float
    return isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) <= sys.float_info.max


def _text_rules(settings: ValidatePreferences) -> pa.DataFrameSchema:
    """Round 2, each value by itself."""
    visible = pa.Check(lambda texts: texts.map(lambda text: bool(_VISIBLE.search(text))), name="blank_text")
    short = pa.Check(lambda texts: texts.str.len() <= settings.max_characters, name="too_long")
    ordered = pa.Check(lambda margins: margins >= 0, name="negative_margin")
    columns = {
        "id": pa.Column(str, visible),
        **{name: pa.Column(str, [visible, short]) for name in _TEXTS},
        **{name: pa.Column(bool) for name in _FLAGS},
        **{name: pa.Column(str) for name in ("split", "source")},
        **{name: pa.Column(float, nullable=True) for name in SCORES},
        "margin": pa.Column(float, ordered, nullable=True),
    }
    return pa.DataFrameSchema(columns, strict=True)


def _key_rules(on_columns: Mapping[str, pa.Check], on_frame: Sequence[pa.Check] = ()) -> pa.DataFrameSchema:
    types = dict.fromkeys(("id", "split", "prompt", "forward", "backward"), str) | {"length_ratio": float}
    columns = {name: pa.Column(kind, on_columns.get(name)) for name, kind in types.items()}
    return pa.DataFrameSchema(columns, checks=list(on_frame), strict=True)


def _pair_rules(settings: ValidatePreferences) -> pa.DataFrameSchema:
    """Round 3, the two responses of a pair."""
    different = pa.Check(lambda keys: keys["forward"] != keys["backward"], name="identical_pair")
    alike = pa.Check(lambda ratios: ratios <= settings.max_length_ratio, name="length_ratio")
    return _key_rules({"length_ratio": alike}, [different])


def _direction_rules() -> pa.DataFrameSchema:
    """Round 4: nobody knows which direction is right, so both go, whatever their splits."""
    return _key_rules({}, [pa.Check(lambda keys: ~keys["backward"].isin(keys["forward"]), name="contradictory_pair")])


def _leakage_rules() -> pa.DataFrameSchema:
    """Round 5: a prompt stays only in its furthest held-out split, so that the evaluation stays valid and large."""
    return _key_rules({}, [pa.Check(_is_held_out_furthest, name="split_leakage")])


def _is_held_out_furthest(keys: pd.DataFrame) -> pd.Series:
    rank = keys["split"].map({split: number for number, split in enumerate(SPLITS)})
    return rank == rank.groupby(keys["prompt"]).transform("max")


def _repetition_rules() -> pa.DataFrameSchema:
    """Round 6, after the leaks: the copy in train must not push out the one in test."""
    return _key_rules(
        {
            "id": pa.Check(lambda ids: ~ids.duplicated(), name="duplicate_id"),
            "forward": pa.Check(lambda pairs: ~pairs.duplicated(), name="duplicate_pair"),
        }
    )
