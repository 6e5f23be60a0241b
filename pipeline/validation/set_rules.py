"""The rules that hold pairs against each other, as pandera schemas: rounds 4 to 7 of the contract."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pandera.pandas as pa

from pipeline.data.views import View
from pipeline.params.schema import ValidatePreferences
from pipeline.validation.findings import Findings
from pipeline.validation.minhash import BANDS
from pipeline.validation.near_duplicates import find_near_duplicates

KEYS = np.dtype(
    [
        ("position", np.int64),
        ("id", np.uint64),
        ("split", np.int8),  # its position in PAIR_SPLITS: the higher, the further held out
        ("prompt", np.uint64),
        ("forward", np.uint64),
        ("backward", np.uint64),
        ("bands", np.uint64, (BANDS,)),
        ("has_trigram", np.bool_),
    ]
)
"""What pairs are compared by: hashes of 64 bits, which confuse two of a million texts once in ten million runs.
`forward` and `backward` are keys of a pair and of its reverse."""
_COMPARED = ("id", "split", "prompt", "forward", "backward")


def check_set(keys: np.ndarray, texts: Sequence[str], settings: ValidatePreferences, found: Findings) -> None:
    """Run rounds 4 to 7 on the pairs that no rule has rejected so far, and note the rules that they break.

    Args:
        keys: the keys of these pairs (see KEYS), in the order of their positions: (N,).
        texts: each of these pairs as one text, in the order of `keys`; few are read.
        settings: which rules reject, and the similarity of near duplicates.
        found: the findings of all pairs, which get more.
    """
    frame = pd.DataFrame({name: keys[name] for name in _COMPARED}, index=keys["position"])
    for rules in (_direction_rules(), _leakage_rules(), _repetition_rules()):
        frame = found.refuse(rules, frame, settings.reject)
    left = np.searchsorted(keys["position"], frame.index.to_numpy())
    repeats = np.zeros(len(left), dtype=bool)
    comparable = np.flatnonzero(keys["has_trigram"][left])
    repeats[comparable] = find_near_duplicates(
        View(left[comparable], texts.__getitem__), keys["bands"][left[comparable]],
        similarity=settings.near_duplicate_similarity,
    )  # fmt: skip
    found.refuse(_similarity_rules(), pd.DataFrame({"repeats": repeats}, index=frame.index), settings.reject)


def _key_rules(on_columns: Mapping[str, pa.Check], on_frame: Sequence[pa.Check] = ()) -> pa.DataFrameSchema:
    columns = {name: pa.Column(KEYS[name], on_columns.get(name)) for name in _COMPARED}
    return pa.DataFrameSchema(columns, checks=list(on_frame), strict=True)


def _direction_rules() -> pa.DataFrameSchema:
    """Round 4: nobody knows which direction is right, so both go, whatever their splits."""
    return _key_rules({}, [pa.Check(lambda keys: ~keys["backward"].isin(keys["forward"]), name="contradictory_pair")])


def _leakage_rules() -> pa.DataFrameSchema:
    """Round 5: a prompt stays only in its furthest held-out split, so that the evaluation stays valid and large."""
    return _key_rules({}, [pa.Check(_is_held_out_furthest, name="split_leakage")])


def _is_held_out_furthest(keys: pd.DataFrame) -> pd.Series:
    return keys["split"] == keys["split"].groupby(keys["prompt"]).transform("max")


def _repetition_rules() -> pa.DataFrameSchema:
    """Round 6, after the leaks: the copy in train must not push out the one in test."""
    return _key_rules(
        {
            "id": pa.Check(lambda ids: ~ids.duplicated(), name="duplicate_id"),
            "forward": pa.Check(lambda pairs: ~pairs.duplicated(), name="duplicate_pair"),
        }
    )


def _similarity_rules() -> pa.DataFrameSchema:
    """Round 7, on the pairs that are left."""
    return pa.DataFrameSchema(
        {"repeats": pa.Column(bool, pa.Check(lambda repeats: ~repeats, name="near_duplicate"))}, strict=True
    )
