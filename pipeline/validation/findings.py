"""Which rules each row breaks: a bit for each rule, so that a million rows need four megabytes."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from pipeline.validation.reasons import REASONS

_BITS = {code: np.uint32(1 << number) for number, code in enumerate(REASONS)}


class Findings(Mapping[int, set[str]]):
    """The rows that break a rule: their positions, each with the codes of the rules."""

    def __init__(self, bits: np.ndarray) -> None:
        self.bits = bits

    @classmethod
    def none(cls, rows: int) -> "Findings":
        """Findings of rows that break no rule so far."""
        return cls(np.zeros(rows, dtype=np.uint32))

    def note(self, positions: np.ndarray, code: str) -> None:
        """Note that these rows break a rule."""
        self.bits[positions] |= _BITS[code]

    def breaks(self, codes: Iterable[str]) -> np.ndarray:
        """Whether each row breaks one of these rules: (N,) booleans."""
        wanted = np.bitwise_or.reduce([_BITS[code] for code in codes] or [np.uint32(0)])
        return (self.bits & wanted) != 0

    def counts(self) -> dict[str, int]:
        """How many rows break each rule."""
        return {code: int(np.count_nonzero(self.bits & bit)) for code, bit in _BITS.items()}

    def __getitem__(self, position: int) -> set[str]:
        found = {code for code, bit in _BITS.items() if 0 <= position < len(self.bits) and self.bits[position] & bit}
        if not found:
            raise KeyError(position)
        return found

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self.bits).tolist())

    def __len__(self) -> int:
        return int(np.count_nonzero(self.bits))

    def refuse(
        self, rules: pa.DataFrameSchema, frame: pd.DataFrame, reject: Iterable[str], *, first: int = 0
    ) -> pd.DataFrame:
        """Run one round: note the rules that its rows break, and return the rows that no rule rejects.

        Args:
            rules: a schema whose checks are named by the codes of the rules.
            frame: the rows, with their positions as index.
            reject: codes of the rules that keep a row from the rounds after it.
            first: position of the row that these findings begin with.

        Raises:
            RuntimeError: a check failed on the whole frame or is no rule, which is an error of the schema.
        """
        if frame.empty:
            return frame
        try:
            rules.validate(frame, lazy=True)
        except SchemaErrors as error:
            # a rule on the whole frame fails once per column
            cases = error.failure_cases[["index", "check"]].drop_duplicates()
            if cases["index"].isna().any() or not set(cases["check"]) <= set(REASONS):
                raise RuntimeError(f"the contract itself is broken:\n{cases}") from error
            for code, found in cases.groupby("check"):
                self.note(found["index"].to_numpy(dtype=np.int64) - first, str(code))
            return frame.drop(index=cases["index"][cases["check"].isin(list(reject))].unique())
        return frame
