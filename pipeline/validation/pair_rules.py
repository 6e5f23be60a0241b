"""The rules that look at one pair at a time, as pandera schemas: rounds 1 to 3 of the contract."""

import enum
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from pipeline.data.records import is_storable, key_of
from pipeline.data.splits import PAIR_SPLITS
from pipeline.errors import PipelineError
from pipeline.params.schema import ValidatePreferences
from pipeline.preferences.pair import RawPair
from pipeline.validation.facts import TEXTS
from pipeline.validation.text_defects import has_bidi_control, has_replacement_character, is_mojibake, repeats_prompt

_SOURCES = ("sampled", "given", "labelled")
_NAMES = ("id", *TEXTS)
_FLAGS = ("chosen_ended", "rejected_ended")
SCORES = ("margin", "chosen_score", "rejected_score")
_FIELDS = (*_NAMES, *_FLAGS, "split", "source", *SCORES)
_KEYS: dict[str, type] = {
    **dict.fromkeys(("id", "forward", "backward"), np.uint64),
    **dict.fromkeys(("is_prefix", "is_echo", "contradicts"), bool),
    "length_ratio": float,
    "tokens": int,
}

# str.strip() keeps what has no width: soft hyphen, joiners, direction marks, variation selectors, byte order mark
_VISIBLE = re.compile(r"[^\s\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")

_CONTROL_TOKEN = re.compile(
    r"<\|[A-Za-z0-9_ -]{1,40}\|>|</?s>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>|\[/?INST\]|<</?SYS>>"
)
"""Control tokens of the chat templates of ChatML, Llama, Mistral, Gemma and Phi."""


class _Cell(enum.Enum):
    """Stands in a frame for what a frame cannot hold (a lone surrogate breaks pandas' strings)."""

    MISSING = enum.auto()
    NOT_UTF8 = enum.auto()


def as_cells(rows: Sequence[RawPair], first: int) -> pd.DataFrame:
    """The fields of raw pairs as they came, in object columns.

    Args:
        rows: consecutive raw pairs.
        first: the position of the first one, from which the index counts.

    Raises:
        PipelineError: a row is no mapping.
    """
    for at, row in enumerate(rows, start=first):
        if not isinstance(row, Mapping):
            raise PipelineError(f"pair {at} (counted from 0) is a {type(row).__name__}, not an object with fields")
    cells = {name: pd.Series([_cell(row, name) for row in rows], dtype=object) for name in _FIELDS}
    return pd.DataFrame(cells).set_axis(pd.RangeIndex(first, first + len(rows)))


def _cell(row: RawPair, name: str) -> Any:
    value = row.get(name, _Cell.MISSING)
    return _Cell.NOT_UTF8 if isinstance(value, str) and not is_storable(value) else value


def as_typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The fields of `as_cells` in columns of their types; None in a score becomes NaN."""
    text_columns = dict.fromkeys((*_NAMES, "split", "source"), str)
    return frame.astype(text_columns | dict.fromkeys(_FLAGS, bool) | dict.fromkeys(SCORES, float))


def as_keys(frame: pd.DataFrame, tokens: np.ndarray, triples: Sequence[Sequence[str]]) -> pd.DataFrame:
    """The columns that `pair_rules` read: `forward` and `backward` are keys of a pair and of its reverse.

    Args:
        frame: what `as_typed` gave.
        tokens: the tokens of prompt and longer response of each row: (N,).
        triples: prompt, chosen and rejected response of each row, as `squeeze` gives them.
    """
    written = {name: frame[name].tolist() for name in TEXTS}
    lengths = [np.fromiter(map(len, written[name]), dtype=float, count=len(frame)) for name in TEXTS[1:]]
    keys = {
        "id": [key_of(text) for text in frame["id"].tolist()],
        "forward": [key_of(prompt, chosen, rejected) for prompt, chosen, rejected in triples],
        "backward": [key_of(prompt, rejected, chosen) for prompt, chosen, rejected in triples],
        "is_prefix": [one != two and (one.startswith(two) or two.startswith(one)) for _, one, two in triples],
        "is_echo": [
            any(repeats_prompt(prompt, response) for response in responses)
            for prompt, *responses in zip(*written.values(), strict=True)
        ],
        "contradicts": (frame["chosen_score"] < frame["rejected_score"]).to_numpy(),
        "length_ratio": np.maximum(*lengths) / np.minimum(*lengths),
        "tokens": tokens,
    }
    return pd.DataFrame(keys, index=frame.index).astype(_KEYS)


def field_rules() -> pa.DataFrameSchema:
    """Round 1, on each field by itself: is it there, and has it the right type?"""
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
    """Whether the cell has the type of the field; a cell that another rule refuses passes."""
    if cell is _Cell.MISSING:
        return True
    if name in _NAMES:
        return isinstance(cell, str) or cell is _Cell.NOT_UTF8
    if name in _FLAGS:
        return isinstance(cell, bool)
    if name in SCORES:
        return cell is None or _is_finite_number(cell)
    return isinstance(cell, str) and cell in (PAIR_SPLITS if name == "split" else _SOURCES)


def _is_finite_number(cell: object) -> bool:
    # the comparison is false for NaN, and does not overflow for an integer beyond every float
    return isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) <= sys.float_info.max


def text_rules(settings: ValidatePreferences, *, templated: bool) -> pa.DataFrameSchema:
    """Round 2, on each value by itself."""
    plain = pa.Check(lambda texts: ~texts.str.contains(_CONTROL_TOKEN), name="control_token")
    odd = [_never(has_bidi_control, "bidi_control"), _never(has_replacement_character, "replacement_character")]
    odd.append(_never(is_mojibake, "mojibake"))
    visible = pa.Check(lambda texts: texts.map(lambda text: bool(_VISIBLE.search(text))), name="blank_text")
    short = pa.Check(lambda texts: texts.str.len() <= settings.max_characters, name="too_long")
    ordered = pa.Check(lambda margins: margins >= 0, name="negative_margin")
    columns = {
        "id": pa.Column(str, visible),
        **{name: pa.Column(str, [visible, short, plain, *odd]) for name in TEXTS},
        **({"prompt": pa.Column(str, [visible, short, *odd])} if templated else {}),
        **{name: pa.Column(bool) for name in _FLAGS},
        **{name: pa.Column(str) for name in ("split", "source")},
        **{name: pa.Column(float, nullable=True) for name in SCORES},
        "margin": pa.Column(float, ordered, nullable=True),
    }
    return pa.DataFrameSchema(columns, strict=True)


def _never(has_defect: Callable[[str], bool], code: str) -> pa.Check:
    return pa.Check(lambda texts: ~texts.map(has_defect).astype(bool), name=code)


def pair_rules(settings: ValidatePreferences) -> pa.DataFrameSchema:
    """Round 3, on the texts of a pair together."""
    limit = math.inf if settings.max_tokens is None else settings.max_tokens
    on_columns = {
        "is_prefix": pa.Check(lambda prefixes: ~prefixes, name="prefix_pair"),
        "is_echo": pa.Check(lambda echoes: ~echoes, name="prompt_repeated"),
        "contradicts": pa.Check(lambda lower: ~lower, name="scores_contradict_label"),
        "length_ratio": pa.Check(lambda ratios: ratios <= settings.max_length_ratio, name="length_ratio"),
        "tokens": pa.Check(lambda counts: counts <= limit, name="over_context"),
    }
    different = pa.Check(lambda keys: keys["forward"] != keys["backward"], name="identical_pair")
    columns = {name: pa.Column(kind, on_columns.get(name)) for name, kind in _KEYS.items()}
    return pa.DataFrameSchema(columns, checks=[different], strict=True)
