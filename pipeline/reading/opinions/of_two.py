"""Two responses a row: who won, by the columns of a format or by a layout."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from pipeline.params.codings import code_number, plain_code
from pipeline.params.data import Data
from pipeline.reading.chats import Unreadable
from pipeline.reading.codings import Decoder
from pipeline.reading.fields import columns_in, usual_names
from pipeline.reading.layouts.layout import Layout
from pipeline.reading.opinions import names as called
from pipeline.reading.opinions.decisions import Claim, Decision, Decisions, Field, Ways, is_empty
from pipeline.reading.opinions.held import AGREES, COUNTED, DENIES_A, DENIES_B, DISAGREES, NO_TIE
from pipeline.reading.opinions.words import as_truth
from pipeline.reading.rows import Row
from pipeline.reading.samples import NumberedRow
from pipeline.reading.side_scores import compared_by, shown_order
from pipeline.reading.sides import own_tags, parts_of
from pipeline.reading.sources import Source
from pipeline.reading.verdicts import Undeclared, majority, read_verdict
from pipeline.reading.vote_lists import votes_in
from pipeline.reading.votes import Verdict, Vote

_LONGEST = 60
"""Characters of a word that may be a code."""
_FEW = 3
_IS_MODEL = re.compile(r"model(?:[ _.-]?name)?$", re.IGNORECASE)
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
        return (
            self.says_less(name) or called.says_who(name) or called.judges(name) or bool(usual_names("winner", [name]))
        )

    def may_hold(self, name: str, values: Collection[str]) -> bool:
        if called.says_agreement(name) or called.says_tie(name) or self._side(name):
            return all(as_truth(value) is not None for value in values)
        # of two models, where nothing says which of them wrote which response
        return not (called.judges(name) and len(values) > _FEW) and (bool(self._models) or not _IS_MODEL.search(name))

    def says_less(self, name: str) -> bool:
        """Whether it may contradict a winner, but cannot be in its place."""
        says_truth = called.says_agreement(name) or called.says_tie(name) or self._side(name)
        return called.names_loser(name) or bool(says_truth)

    def _side(self, name: str) -> Verdict | None:
        return called.side_that_won(name, self.columns)

    def ways(self, name: str) -> Ways | None:
        return COUNTED if called.counts_places(name) else None

    def claim(self, field: Field) -> Claim:
        meanings: dict[bool, str] = {}
        if called.says_agreement(field.name):
            meanings = {True: AGREES, False: DISAGREES}
        elif called.says_tie(field.name):
            meanings = {True: "tie", False: NO_TIE}
        elif side := self._side(field.name):
            meanings = {True: side, False: DENIES_A if side == "a" else DENIES_B}
        if meanings:
            return lambda one: None if (truth := as_truth(field.of(one.row))) is None else meanings[truth]
        return self._claim_of_words(field)

    def _claim_of_words(self, field: Field) -> Claim:
        columns = self._data.columns.model_copy(
            update=dict(zip(("response_a", "response_b"), self.columns, strict=True))
        )
        coding = type(self._data.winner_coding)(first=None, second=None, tie=None, skip=None)
        decoder = Decoder(self._data.model_copy(update={"winner_coding": coding, "columns": columns}))
        tags, any_word = set(own_tags(self.columns)), called.has_words_of_its_own(field.name)
        loses = called.names_loser(field.name)

        def claim(one: Decision) -> str | None:
            value = _same_text(field.of(one.row), one.texts)
            if votes := votes_in(value, one.texts):
                value = votes[0] if all(vote == votes[0] for vote in votes) else _majority(decoder, votes, one.texts)
            if is_empty(value) or isinstance(value, list | dict):
                return None
            if not self._takes_codes and value not in one.texts and not tags & set(parts_of(str(value))):
                return None
            said = decoder.verdict(value, one.texts, [one.row.get(model) for model in self._models])
            if verdict := None if isinstance(said, Undeclared) else read_verdict(said):
                return _OPPOSITE.get(verdict, verdict) if loses else verdict
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


def _same_text(value: Any, texts: Sequence[Any]) -> Any:
    """The response that a text is but for spaces at its ends; else the value."""
    if not isinstance(value, str) or value in texts:
        return value
    return next((text for text in texts if isinstance(text, str) and text.strip() == value.strip()), value)


def _majority(decoder: Decoder, votes: Sequence[Any], texts: Sequence[Any]) -> str | None:
    """What most of several votes say; None where one of them cannot be read."""
    said = [
        None if isinstance(one := decoder.verdict(vote, texts), Undeclared) else read_verdict(one) for vote in votes
    ]
    known = [Vote("", verdict) for verdict in said if verdict]
    try:
        return majority(known) if len(known) == len(said) else None
    except Unreadable:
        return None


def of_votes(data: Data, sides: tuple[str, str]) -> OfTwo:
    """Comparisons, by the majority of the votes of a row, or by the numbers of both responses."""
    if numbers := compared_by(data):
        return OfTwo(data, sides, numbers, lambda row: shown_order(row, data))
    winners, models = columns_in(data.columns.winner), data.columns.models or ()
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
