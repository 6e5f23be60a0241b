"""Several responses in one cell: which of them is the best."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from pipeline.params.codings import code_number
from pipeline.params.data import Data
from pipeline.reading.chats import Unreadable
from pipeline.reading.codings import Decoder
from pipeline.reading.fields import usual_names
from pipeline.reading.opinions import names as called
from pipeline.reading.opinions.decisions import HIGHEST, Claim, Decision, Decisions, Field, Ways, ways_of_order
from pipeline.reading.opinions.held import DISAGREES
from pipeline.reading.response_lists import open_list, place_of, places_of_best
from pipeline.reading.samples import NumberedRow
from pipeline.reading.written_messages import structure

_MOST_RESPONSES = 30
"""A larger number is no place of one."""
_BY_NUMBER: tuple[Mapping[str, str], ...] = tuple(
    {f"{zero}{one}": (zero, one)[start] for zero in "ab" for one in "ab"} for start in (0, 1)
)
"""What numbers may say: each code is what a place says that is counted from 0, and from 1."""


class OfList(Decisions):
    """The best response of a list, by scores, by ranks, or named."""

    def __init__(self, data: Data):
        columns = data.columns
        self._data, self._decoder = data, Decoder(data)
        self._names = {"responses": columns.responses, "scores": columns.scores, "rank": columns.rank}
        self._names["winner"] = columns.winner[0] if isinstance(columns.winner, list) else columns.winner
        verdicts = [str(name) for field, name in self._names.items() if name and field != "responses"]
        self.by = verdicts or [str(columns.responses)]
        self.needed = [str(name) for name in self._names.values() if name]

    def each(self, rows: Iterable[NumberedRow]) -> Iterator[Decision]:
        for number, row in rows:
            fields = {field: row.get(str(name)) for field, name in self._names.items() if name}
            try:
                texts, _ = open_list(fields["responses"])
                best = places_of_best(self._decoder.row(fields))
            except Unreadable:
                continue
            yield Decision(number, row, "a", texts, best)

    def is_called(self, name: str) -> bool:
        named = called.says_who(name) or called.names_loser(name) or bool(usual_names("winner", [name]))
        return named or called.says_wanted(name) or called.is_number(name)

    def ways(self, name: str) -> Ways | None:
        return ways_of_order(name, self._data) if called.is_number(name) else _BY_NUMBER

    def may_hold(self, name: str, values: Collection[str]) -> bool:
        numbers = [number for value in values if (number := code_number(value)) is not None]
        return max(numbers, default=0) <= _MOST_RESPONSES

    def claim(self, field: Field) -> Claim:
        loses, numbers = called.names_loser(field.name), called.is_number(field.name)

        def said_of(place: int, one: Decision) -> str:
            return "a" if (place in one.best) is not loses else "b"

        def claim(one: Decision) -> str | None:
            value = structure(field.of(one.row))
            if isinstance(value, list):
                said = _order_in(value, one)
                return said if numbers or said is None else HIGHEST[0].get(said, said)
            if numbers:
                return None
            place = place_of(value, one.texts, self._data.first_index)
            if isinstance(place, int):
                return said_of(place, one)
            number = code_number(value)
            if number is None or number != int(number) or not 0 <= number <= len(one.texts):
                return None
            return said_of(int(number), one) + said_of(int(number) - 1, one)

        return claim


def _order_in(values: list[Any], one: Decision) -> str | None:
    """Whether the best response has the highest of these, or the lowest."""
    known = [float(value) if isinstance(value, bool) else code_number(value) for value in values]
    numbers = [number for number in known if number is not None]
    if len(numbers) != len(one.texts) or len(numbers) != len(values) or len(set(numbers)) < 2:
        return None
    best = {numbers[at] for at in one.best}
    return "higher" if max(numbers) in best else "lower" if min(numbers) in best else DISAGREES
