"""Two responses a row: who won, by the columns of a format or by a layout."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from pipeline.params.codings import code_number, plain_code
from pipeline.params.data import Data
from pipeline.reading.chats import Unreadable
from pipeline.reading.codings import Decoder
from pipeline.reading.fields import usual_names
from pipeline.reading.layouts.layout import Layout
from pipeline.reading.opinions import names as called
from pipeline.reading.opinions.decisions import Claim, Decision, Decisions, Row, Ways, as_truth, is_empty, value_at
from pipeline.reading.opinions.held import AGREES, COUNTED, DENIES_A, DENIES_B, DISAGREES
from pipeline.reading.samples import NumberedRow
from pipeline.reading.side_scores import compared_by, shown_order
from pipeline.reading.sides import own_tags, parts_of
from pipeline.reading.sources import Source
from pipeline.reading.verdicts import Undeclared, Verdict, Vote, majority, read_verdict
from pipeline.reading.vote_lists import votes_in

_LONGEST = 60
"""Characters of a word that may be a code."""
_OPPOSITE = {"a": "b", "b": "a"}


class OfTwo(Decisions):
    """Two responses a row, by the columns that say who won.

    Args:
        data: resolved.
        columns: of both responses.
        by: the columns that say it.
        read: who won a row.
        takes_codes: numbers, and words that mean nothing by themselves, may be about these two.
    """

    def __init__(
        self,
        data: Data,
        columns: tuple[str, str],
        by: list[str],
        read: Callable[[Row], Verdict | None],
        *,
        takes_codes: bool = True,
    ):
        self.columns, self.by, self._data, self._read = columns, by, data, read
        self._models = data.columns.models or []
        self._takes_codes = takes_codes
        self.needed = [*columns, *by, *self._models]

    def each(self, rows: Iterable[NumberedRow]) -> Iterator[Decision]:
        for number, row in rows:
            if read := self._read(row):
                yield Decision(number, row, read, [row.get(name) for name in self.columns])

    def is_called(self, name: str) -> bool:
        if self.says_less(name) or called.says_who(name):
            return True
        return bool(usual_names("winner", [name]))

    def says_less(self, name: str) -> bool:
        """Whether it may contradict a winner, but cannot be in its place."""
        return called.names_loser(name) or called.says_agreement(name) or bool(self._side(name))

    def _side(self, name: str) -> Verdict | None:
        return called.side_that_won(name, self.columns)

    def ways(self, name: str) -> Ways | None:
        return COUNTED if called.counts_places(name) else None

    def claim(self, name: str) -> Claim:
        meanings = {True: AGREES, False: DISAGREES} if called.says_agreement(name) else {}
        if side := self._side(name):
            meanings = {True: side, False: DENIES_A if side == "a" else DENIES_B}
        if meanings:
            return lambda one: None if (truth := as_truth(value_at(one.row, name))) is None else meanings[truth]
        return self._claim_of_words(name)

    def _claim_of_words(self, name: str) -> Claim:
        columns = self._data.columns.model_copy(
            update=dict(zip(("response_a", "response_b"), self.columns, strict=True))
        )
        coding = type(self._data.winner_coding)(first=None, second=None, tie=None, skip=None)
        decoder = Decoder(self._data.model_copy(update={"winner_coding": coding, "columns": columns}))
        tags, any_word = set(own_tags(self.columns)), called.has_words_of_its_own(name)

        def claim(one: Decision) -> str | None:
            value = value_at(one.row, name)
            if is_empty(value) or isinstance(value, list | dict):
                return None
            if not self._takes_codes and value not in one.texts and not tags & set(parts_of(str(value))):
                return None
            said = decoder.verdict(value, one.texts, [one.row.get(model) for model in self._models])
            if verdict := None if isinstance(said, Undeclared) else read_verdict(said):
                return _OPPOSITE.get(verdict, verdict) if called.names_loser(name) else verdict
            is_code = isinstance(value, bool) or code_number(value) is not None
            is_code |= any_word and len(str(value)) <= _LONGEST
            return plain_code(value) if is_code and self._takes_codes else None

        return claim


class OfLayout(OfTwo):
    """Two responses a row, as a layout reads it."""

    def __init__(self, source: Source, data: Data, layout: Layout):
        compared = layout.form == "comparisons"
        sides = ("response_a", "response_b") if compared else ("chosen", "rejected")
        super().__init__(data, sides, [f"the layout {layout.name}"], lambda row: None, takes_codes=compared)
        self._layout, self._compared = layout, compared
        self.needed = [name for name in layout.uses if name in source.rows.column_names]

    def each(self, rows: Iterable[NumberedRow]) -> Iterator[Decision]:
        for number, row in rows:
            try:
                parts = self._layout.convert(row)
            except Unreadable:
                continue
            if len(parts) == 1 and set(self.columns) <= parts[0].keys():
                read: Verdict | None = read_verdict(parts[0].get("winner")) if self._compared else "a"
                if read:
                    yield Decision(number, row, read, [parts[0][name] for name in self.columns])


def of_votes(data: Data, sides: tuple[str, str]) -> OfTwo:
    """Comparisons, by the majority of the votes of a row, or by the numbers of both responses."""
    if numbers := compared_by(data):
        return OfTwo(data, sides, numbers, lambda row: shown_order(row, data))
    winner, models = data.columns.winner, data.columns.models or ()
    winners = [winner] if isinstance(winner, str) else winner or []
    decoder = Decoder(data)

    def voted(row: Row) -> Verdict | None:
        texts, names = [row.get(name) for name in sides], [row.get(name) for name in models]
        lists = [votes_in(row.get(name), texts) or [row.get(name)] for name in winners]
        said = (one for votes in lists for one in votes)
        found = [read_verdict(decoder.verdict(one, texts, names)) for one in said]
        votes = [Vote("", verdict) for verdict in found if verdict]
        if len(found) == 1:
            return votes[0].verdict if votes else None
        try:
            return majority(votes)
        except Unreadable:
            return None

    return OfTwo(data, sides, winners, voted)


def of_pair(data: Data, pair: tuple[str, str], two: Sequence[str] | None) -> OfTwo:
    """A chosen and a rejected response.

    Args:
        two: other columns that hold both responses, in whichever order: other columns then are about these.
    """
    if two is None:
        return OfTwo(data, pair, list(pair), lambda row: "a", takes_codes=False)

    def repeated(row: Row) -> Verdict | None:
        same = [row.get(name) == row.get(pair[0]) for name in two]
        return None if same[0] == same[1] else "a" if same[0] else "b"

    return OfTwo(data, (two[0], two[1]), list(pair), repeated)
