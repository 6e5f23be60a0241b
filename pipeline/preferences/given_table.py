"""The table artifacts/data/pairs.jsonl: pairs of the data, without what is the same for all of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.data.record_files import RecordFile
from pipeline.data.views import View
from pipeline.preferences.pair import PairRecord, PreferencePair

_SCORES = ("chosen_score", "rejected_score")
_SAME_FOR_ALL: PairRecord = {"chosen_ended": True, "rejected_ended": True, "margin": None, "source": "given"}


def given_record(pair: PreferencePair) -> PairRecord:
    """The row of a pair; scores only where the data has some."""
    record = pair.as_record()
    unknown = [name for name in _SCORES if record[name] is None]
    left_out = {*_SAME_FOR_ALL, "prompt_id", *unknown}
    return {name: value for name, value in record.items() if name not in left_out}


def read_given(path: Path) -> Sequence[PreferencePair]:
    """The pairs of artifacts/data/pairs.jsonl, each read when it is asked for."""
    records = RecordFile(path)
    return View(np.arange(len(records)), lambda at: _of_record(records[at]))


def given_ties(fates: Mapping[str, int]) -> int:
    """Raw rows of given preferences that prefer neither response, by the counts of prepare_data."""
    return sum(fates.get(f"dropped.{reason}", 0) for reason in ("tie", "games_disagree"))


def _of_record(record: PairRecord) -> PreferencePair:
    return PreferencePair.of({**dict.fromkeys(_SCORES), **record, **_SAME_FOR_ALL, "prompt_id": record["id"]})
