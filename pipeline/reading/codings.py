"""What values of winners, labels and ranks mean: as params.yaml declares it, or by words that have one meaning."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.params.codings import code_number, plain_code
from pipeline.params.data import Data
from pipeline.reading.chats import Unreadable
from pipeline.reading.response_lists import SCORED_BY, open_list, place_of
from pipeline.reading.rows import LONGEST_NAME, Row
from pipeline.reading.verdicts import NO_VERDICTS, Undeclared, read_verdict
from pipeline.reading.written_messages import structure

_WORDS = {"first": "a", "second": "b", "tie": "tie", "skip": "skip", "wanted": 1, "unwanted": 0}
"""Meanings of the params, as readers take them."""
_PLACES = (0, 1, 2)
"""Numbers that may mean the first response or the second."""
_TRUTH = ("true", "false")
_SIDES = ("response_a", "response_b")
_MODELS = ("models.0", "models.1")
_SCORES = ("score", "chosen_score", "rejected_score")
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
        self._winner_coding = data.winner_coding or None
        self._own_names = {plain_code(name): side for name, side in zip(self._columns or (), "ab", strict=False)}
        self._known: dict[tuple[type, Any], Any] = {}

    def row(self, row: Row) -> Row:
        """The row with what its winner, label or rank means, or `Undeclared`."""
        form, decoded = self._data.format, dict(row)
        if form in ("comparisons", "round_robin"):
            names = (_SIDES, _MODELS) if form == "comparisons" else ()
            texts, models = ([row.get(name) for name in two] for two in names) if names else ([], [])
            for name, value in row.items():
                if name.startswith("winner") and value is not None:
                    decoded[name] = self._verdicts(value, texts, models)
                elif name.startswith("scores") and self._data.best_score == "lowest":
                    decoded[name] = _turned(value)
        elif form == "scored_responses":
            decoded |= self._of_list(row)
        elif row.get("label") is not None and self._data.label_coding:
            decoded["label"] = self._label(row["label"])
        elif form in ("ratings", "preference_pairs") and self._data.best_score == "lowest":
            decoded |= {name: _turned(row[name]) for name in _SCORES if name in row}
        elif self._data.best_rank == "highest" and (rank := code_number(row.get("rank"))) is not None:
            decoded["rank"] = -rank
        return decoded

    def _of_list(self, row: Row) -> dict[str, Any]:
        """The place of the best response from 0, and ranks of which the lowest is the best."""
        found: dict[str, Any] = {}
        if row.get("winner") is not None:
            try:
                responses, _ = open_list(row["responses"])
            except Unreadable:
                return found  # the reader says why
            found["winner"] = place_of(row["winner"], responses, self._data.first_index)
        turned = {"rank": self._data.best_rank == "highest", "scores": self._data.best_score == "lowest"}
        for field, turn in turned.items():
            if turn and isinstance(numbers := structure(row.get(field)), list):
                found[field] = [_turned(number) for number in numbers]
        responses = structure(row.get("responses"))
        if turned["scores"] and isinstance(responses, list):
            found["responses"] = [
                {name: _turned(value) if name in SCORED_BY else value for name, value in one.items()}
                if isinstance(one, Mapping)
                else one
                for one in responses
            ]
        return found

    def _verdicts(self, value: Any, texts: Sequence[Any], models: Sequence[Any]) -> Any:
        if isinstance(value, _SEVERAL):
            return [one if one is None else self.verdict(one, texts, models) for one in value]
        return self.verdict(value, texts, models)

    def verdict(self, value: Any, texts: Sequence[Any] = (), models: Sequence[Any] = ()) -> Any:
        """a, b, tie or another word; `Undeclared`, or the value itself where it is a word that says nothing.

        Args:
            value: of a winner.
            texts: both responses of the row, one of which may be the value.
            models: the names of what wrote them, likewise.
        """
        by_itself = self._remembered(value)
        number = code_number(value)
        if models and not (number is not None and self._winner_coding) and (side := _one_of(models, value)) is not None:
            return _agreed(value, by_itself, side, clear=number not in _PLACES)
        declared = self._winner_coding and not isinstance(by_itself, Undeclared)
        if declared or not isinstance(value, str) or value not in texts or texts[0] == texts[1]:
            return by_itself
        return _agreed(value, by_itself, "ab"[list(texts).index(value)], clear=number is None)

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
        if self._winner_coding:
            meaning = self._winner_coding.meaning(value)
            return _WORDS[meaning] if meaning else Undeclared(value)
        if not _is_long(value) and (side := self._own_names.get(plain_code(value))):
            return side
        if verdict := read_verdict(value, self._columns):
            return verdict
        other = self._columns and read_verdict(value)  # response_2 where the columns are response_0 and response_1
        return value if _is_word(value) and not other else Undeclared(value)

    def _label(self, value: Any) -> Any:
        meaning = self._data.label_coding.meaning(value)
        return _WORDS[meaning] if meaning else Undeclared(value)


def _turned(value: Any) -> Any:
    """A number with the opposite sign; anything else as it is, for the reader to refuse with the reason."""
    return value if (number := code_number(value)) is None else -number


def _is_word(value: Any) -> bool:
    if not isinstance(value, str) or code_number(value) is not None:
        return False
    return _is_long(value) or plain_code(value) not in _TRUTH


def _is_long(value: Any) -> bool:
    """Whether a value is too long to be a name or a code."""
    return isinstance(value, str) and len(value) > LONGEST_NAME


def _agreed(value: Any, by_itself: Any, side: str, *, clear: bool) -> Any:
    """The side that a row says a value is on, unless the value alone says another, as b or a declared code may."""
    return side if clear and side and read_verdict(by_itself) in (None, side) else Undeclared(value)


def _one_of(models: Sequence[Any], value: Any) -> str | None:
    """The side of the model that has this name, empty where both have it; None where none has."""
    name = plain_code(value)
    sides = [side for side, model in zip("ab", models, strict=False) if model is not None and plain_code(model) == name]
    return "".join(sides) if len(sides) == 1 else None if not sides else ""
