"""Values of winners, labels and ranks to what they mean, by what is declared or by words that leave nothing open."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.params.codings import code_number, plain_code
from pipeline.params.data import Data
from pipeline.reading.verdicts import NO_VERDICTS, Undeclared, read_verdict

_WORDS = {"first": "a", "second": "b", "tie": "tie", "skip": "skip", "wanted": 1, "unwanted": 0}
"""Meanings of the params, as readers take them."""
_TRUTH = ("true", "false")
_SIDES = ("response_a", "response_b")
_SEVERAL = list | tuple


class Decoder:
    """Rows, under the names of their fields, with winners and labels in words that the readers take.

    Args:
        data: with the format and the columns of the source.
    """

    def __init__(self, data: Data) -> None:
        first, second = data.columns.response_a, data.columns.response_b
        self._columns = (first, second) if first and second else None
        self._data = data
        self._own_names = {plain_code(name): side for name, side in zip(self._columns or (), "ab", strict=False)}
        self._known: dict[tuple[type, Any], Any] = {}

    def row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The row with what its winner, label or rank means, or `Undeclared`."""
        form, decoded = self._data.format, dict(row)
        if form in ("comparisons", "round_robin"):
            texts = [row.get(side) for side in _SIDES] if form == "comparisons" else []
            for name, value in row.items():
                if name.startswith("winner") and value is not None:
                    decoded[name] = self._verdicts(value, texts)
        elif row.get("label") is not None and self._data.label_coding:
            decoded["label"] = self._label(row["label"])
        elif self._data.best_rank == "highest" and (rank := code_number(row.get("rank"))) is not None:
            decoded["rank"] = -rank
        return decoded

    def _verdicts(self, value: Any, texts: Sequence[Any]) -> Any:
        if isinstance(value, _SEVERAL):
            return [one if one is None else self.verdict(one, texts) for one in value]
        return self.verdict(value, texts)

    def verdict(self, value: Any, texts: Sequence[Any] = ()) -> Any:
        """a, b, tie or another word; `Undeclared`, or the value itself where it is a word that says nothing."""
        by_itself = self._remembered(value)
        if self._data.winner_coding or not isinstance(value, str) or value not in texts or texts[0] == texts[1]:
            return by_itself
        of_text = "ab"[list(texts).index(value)]
        if code_number(value) is not None or read_verdict(by_itself) not in (None, of_text):
            return Undeclared(value)  # short answers, such as 1 or b
        return of_text

    def _remembered(self, value: Any) -> Any:
        if (isinstance(value, str) and len(value) > 100) or not isinstance(value, str | int | float):
            return self._by_itself(value)
        key = (type(value), value)
        if key not in self._known and len(self._known) < 10_000:
            self._known[key] = self._by_itself(value)
        return self._known[key] if key in self._known else self._by_itself(value)

    def _by_itself(self, value: Any) -> Any:
        if isinstance(value, str) and (value.strip() in NO_VERDICTS or not value.strip()):
            return value.strip()
        if self._data.winner_coding:
            meaning = self._data.winner_coding.meaning(value)
            return _WORDS[meaning] if meaning else Undeclared(value)
        if side := self._own_names.get(plain_code(value)):
            return side
        if self._columns and read_verdict(value) and not read_verdict(value, self._columns):
            return Undeclared(value)  # response_2 where the columns are response_0 and response_1
        return read_verdict(value, self._columns) or (value if _is_word(value) else Undeclared(value))

    def _label(self, value: Any) -> Any:
        meaning = self._data.label_coding.meaning(value)
        return _WORDS[meaning] if meaning else Undeclared(value)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and code_number(value) is None and plain_code(value) not in _TRUTH
