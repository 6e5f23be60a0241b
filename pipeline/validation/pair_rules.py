"""The rules of the contract, as pandera schemas: round by round, what makes a pair unfit for training."""

import enum
import math
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from pipeline.data.records import fold, is_storable, record_id
from pipeline.errors import PipelineError
from pipeline.params.schema import ValidatePreferences
from pipeline.validation.near_duplicates import find_near_duplicates
from pipeline.validation.reasons import REASONS
from pipeline.validation.text_defects import has_bidi_control, has_replacement_character, is_mojibake, repeats_prompt

SPLITS = ("train", "validation", "test")
"""From what is trained on to what is held out furthest."""

_SOURCES = ("sampled", "given", "labelled")
_TEXTS = ("prompt", "chosen", "rejected")
_NAMES = ("id", *_TEXTS)
_FLAGS = ("chosen_ended", "rejected_ended")
SCORES = ("margin", "chosen_score", "rejected_score")
_FIELDS = (*_NAMES, *_FLAGS, "split", "source", *SCORES)
_FOUND = ("is_prefix", "is_echo", "contradicts")

# str.strip() keeps what has no width: soft hyphen, joiners, direction marks, variation selectors, byte order mark
_VISIBLE = re.compile(r"[^\s\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")


_CONTROL_TOKEN = re.compile(
    r"<\|[A-Za-z0-9_ -]{1,40}\|>|</?s>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>|\[/?INST\]|<</?SYS>>"
)
"""Of the chat templates of ChatML, Llama, Mistral, Gemma and Phi."""
_BATCH = 50_000


class _Cell(enum.Enum):
    """Stands in a frame for what a frame cannot hold (a lone surrogate breaks pandas' strings)."""

    MISSING = enum.auto()
    NOT_UTF8 = enum.auto()


def comparable(text: str) -> str:
    """Text in the form in which two texts count as the same: NFC, runs of white space as one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def find_reasons(
    rows: Sequence[Mapping[str, Any]], settings: ValidatePreferences, *, tokens: Sequence[int], templated: bool
) -> dict[int, set[str]]:
    """Codes of the rules that each row breaks, by position, of the rows that break one.

    Only a rule in `settings.reject` keeps a row from the rounds after it.

    Args:
        tokens: of prompt and longer response, for each row.
        templated: prompts were written by a chat template, whose control tokens they have by right.
    """
    reasons: dict[int, set[str]] = {}
    batches = []
    for start in range(0, len(rows), _BATCH):
        batch = range(start, min(start + _BATCH, len(rows)))
        frame = _refuse(_field_rules(), _as_cells(rows, batch), reasons, settings)
        frame = _refuse(_text_rules(settings, templated=templated), _as_typed(frame), reasons, settings)
        batches.append(_refuse(_pair_rules(settings), _as_keys(frame, tokens), reasons, settings))
    keys = pd.concat(batches)
    for rules in (_direction_rules(), _leakage_rules(), _repetition_rules()):
        keys = _refuse(rules, keys, reasons, settings)
    texts = PairTexts(rows, keys.index.tolist())
    repeats = find_near_duplicates(texts, similarity=settings.near_duplicate_similarity)
    _refuse(_similarity_rules(), pd.DataFrame({"repeats": repeats}, index=keys.index), reasons, settings)
    return reasons


class PairTexts(Sequence[str]):
    """Each pair as one text, put together when it is asked for."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], positions: Sequence[int]) -> None:
        self._rows = rows
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        row = self._rows[self._positions[index]]
        return "\n".join(row[name] for name in _TEXTS)


def _refuse(
    rules: pa.DataFrameSchema, frame: pd.DataFrame, reasons: dict[int, set[str]], settings: ValidatePreferences
) -> pd.DataFrame:
    """Run one round: note what its rows break, and return those that nothing rejects."""
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
        return frame.drop(index=cases["index"][cases["check"].isin(list(settings.reject))].unique())
    return frame


def _as_cells(rows: Sequence[Mapping[str, Any]], batch: range) -> pd.DataFrame:
    """The fields as they came, in object columns."""
    for index in batch:
        if not isinstance(rows[index], Mapping):
            raise PipelineError(
                f"pair {index} (counted from 0) is a {type(rows[index]).__name__}, not an object with fields"
            )
    cells = {name: pd.Series([_cell(rows[index], name) for index in batch], dtype=object) for name in _FIELDS}
    return pd.DataFrame(cells).set_axis(pd.Index(batch))


def _cell(row: Mapping[str, Any], name: str) -> Any:
    value = row.get(name, _Cell.MISSING)
    return _Cell.NOT_UTF8 if isinstance(value, str) and not is_storable(value) else value


def _as_typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The fields in columns of their types; None in a score becomes NaN."""
    text_columns = dict.fromkeys((*_NAMES, "split", "source"), str)
    return frame.astype(text_columns | dict.fromkeys(_FLAGS, bool) | dict.fromkeys(SCORES, float))


def _as_keys(frame: pd.DataFrame, tokens: Sequence[int]) -> pd.DataFrame:
    """What rows are compared by: `forward` and `backward` name a pair in its own and in the other direction."""
    texts = [[comparable(text) for text in frame[name]] for name in _TEXTS]
    lengths = [frame[name].str.len().astype(float) for name in ("chosen", "rejected")]
    triples = list(zip(*texts, strict=True))
    keys = {
        "id": frame["id"],
        "split": frame["split"],
        # as prepare_data folds it before it draws the split
        "prompt": [record_id(fold(text)) for text in frame["prompt"]],
        "forward": [record_id(prompt, chosen, rejected) for prompt, chosen, rejected in triples],
        "backward": [record_id(prompt, rejected, chosen) for prompt, chosen, rejected in triples],
        "is_prefix": [one != two and (one.startswith(two) or two.startswith(one)) for _, one, two in triples],
        "is_echo": [
            any(repeats_prompt(prompt, response) for response in responses)
            for prompt, *responses in zip(*(frame[name] for name in _TEXTS), strict=True)
        ],
        "contradicts": frame["chosen_score"] < frame["rejected_score"],
        "length_ratio": np.maximum(*lengths) / np.minimum(*lengths),
        "tokens": [tokens[index] for index in frame.index],
    }
    kinds = {**dict.fromkeys(("prompt", "forward", "backward"), str), **dict.fromkeys(_FOUND, bool), "tokens": int}
    return pd.DataFrame(keys, index=frame.index).astype(kinds)


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


def _text_rules(settings: ValidatePreferences, *, templated: bool) -> pa.DataFrameSchema:
    """Round 2, each value by itself."""
    plain = pa.Check(lambda texts: ~texts.str.contains(_CONTROL_TOKEN), name="control_token")
    odd = [_never(has_bidi_control, "bidi_control"), _never(has_replacement_character, "replacement_character")]
    odd.append(_never(is_mojibake, "mojibake"))
    visible = pa.Check(lambda texts: texts.map(lambda text: bool(_VISIBLE.search(text))), name="blank_text")
    short = pa.Check(lambda texts: texts.str.len() <= settings.max_characters, name="too_long")
    ordered = pa.Check(lambda margins: margins >= 0, name="negative_margin")
    columns = {
        "id": pa.Column(str, visible),
        **{name: pa.Column(str, [visible, short, plain, *odd]) for name in _TEXTS},
        **({"prompt": pa.Column(str, [visible, short, *odd])} if templated else {}),
        **{name: pa.Column(bool) for name in _FLAGS},
        **{name: pa.Column(str) for name in ("split", "source")},
        **{name: pa.Column(float, nullable=True) for name in SCORES},
        "margin": pa.Column(float, ordered, nullable=True),
    }
    return pa.DataFrameSchema(columns, strict=True)


def _never(has_defect: Callable[[str], bool], code: str) -> pa.Check:
    return pa.Check(lambda texts: ~texts.map(has_defect).astype(bool), name=code)


def _key_rules(on_columns: Mapping[str, pa.Check], on_frame: Sequence[pa.Check] = ()) -> pa.DataFrameSchema:
    types: dict[str, type] = dict.fromkeys(("id", "split", "prompt", "forward", "backward"), str)
    types |= {**dict.fromkeys(_FOUND, bool), "length_ratio": float, "tokens": int}
    columns = {name: pa.Column(kind, on_columns.get(name)) for name, kind in types.items()}
    return pa.DataFrameSchema(columns, checks=list(on_frame), strict=True)


def _pair_rules(settings: ValidatePreferences) -> pa.DataFrameSchema:
    """Round 3, the two responses of a pair."""
    limit = math.inf if settings.max_tokens is None else settings.max_tokens
    on_columns = {
        "is_prefix": pa.Check(lambda prefixes: ~prefixes, name="prefix_pair"),
        "is_echo": pa.Check(lambda echoes: ~echoes, name="prompt_repeated"),
        "contradicts": pa.Check(lambda lower: ~lower, name="scores_contradict_label"),
        "length_ratio": pa.Check(lambda ratios: ratios <= settings.max_length_ratio, name="length_ratio"),
        "tokens": pa.Check(lambda counts: counts <= limit, name="over_context"),
    }
    different = pa.Check(lambda keys: keys["forward"] != keys["backward"], name="identical_pair")
    return _key_rules(on_columns, [different])


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


def _similarity_rules() -> pa.DataFrameSchema:
    """Round 7, among what is left."""
    return pa.DataFrameSchema(
        {"repeats": pa.Column(bool, pa.Check(lambda repeats: ~repeats, name="near_duplicate"))}, strict=True
    )
