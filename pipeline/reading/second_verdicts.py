"""Columns that say who won beside those that are read: they may not say otherwise in silence."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.params.codings import code_number, plain_code
from pipeline.params.data import Data
from pipeline.reading.chats import Unreadable
from pipeline.reading.codings import Decoder
from pipeline.reading.fields import side_columns, usual_names
from pipeline.reading.leftovers import unused_columns
from pipeline.reading.samples import NumberedRow, read_rows, sample_rows
from pipeline.reading.sides import columns_of_sides, own_tags, parts_of
from pipeline.reading.sources import Source
from pipeline.reading.verdicts import Undeclared, Verdict, Vote, majority, read_verdict

_WHO = "winner|winning|preference|preferred|better|best|chosen|choice|vote|verdict|selected"
_NAME = re.compile(
    rf"(?:{_WHO}|label)(?:[ _.-]?(?:index|idx|id|response|answer|output|model|side|label|name))?"
    rf"|.*[ _.-](?:{_WHO})",
    re.IGNORECASE,
)
_INDEX = re.compile(r".*(?:index|idx)", re.IGNORECASE)
_OTHER_WORDS = frozenset({"label", "selected", "choice", "utterance", "vote", "best"})
"""Columns in which words that are no verdict say something else."""
_COUNTED: tuple[dict[str, Verdict], ...] = ({"0": "a", "1": "b"}, {"1": "a", "2": "b"})
_VERDICTS: tuple[Verdict, ...] = ("a", "b", "tie")
_SHOWN = 40
_BY_RANK = "  format: rankings\n  best_rank: lowest"
_LONGEST = 60
"""Characters of a word that may be a code."""
_MOST_CODES = 50
Row = Mapping[str, Any]
_Claim = Callable[[Row], str | None]
"""What a column says of a row: a verdict, a code, or nothing."""


@dataclass(frozen=True)
class _Reading:
    """How the rows of a source are read."""

    columns: tuple[str, str]
    """Of the two responses."""
    needed: tuple[str, ...]
    """Other columns that say who won."""
    read: Callable[[Row], Verdict | None]
    takes_codes: bool = True
    """Numbers, and words that mean nothing by themselves, may be about these two."""


@dataclass
class _Held:
    """What a column says, by what is read of the same rows."""

    said: Counter[tuple[str, Verdict]] = field(default_factory=Counter)
    """A verdict or a code, which may mean any, and what is read."""
    first: dict[tuple[str, Verdict], tuple[int, Row]] = field(default_factory=dict)

    def add(self, number: int, row: Row, said: str, read: Verdict) -> None:
        """What it says of a row, unless it has too many codes to be any."""
        if said in _VERDICTS or len(self.said) < _MOST_CODES:
            self.said[said, read] += 1
            self.first.setdefault((said, read), (number, row))

    def against(self, *, index: bool) -> list[tuple[str, Verdict]]:
        """What contradicts what is read, where codes mean what contradicts it least.

        Args:
            index: the codes are numbers of the responses, from 0 or from 1.
        """
        codes = sorted({said for said, _ in self.said} - set(_VERDICTS))
        ways: Iterable[Mapping[str, str]] = [{}]
        if index:
            ways = _COUNTED
        elif 0 < len(codes) <= len(_VERDICTS):
            ways = [dict(zip(codes, way, strict=True)) for way in permutations(_VERDICTS, len(codes))]
        found = [[(said, read) for said, read in self.said if way.get(said, said) not in (read, None)] for way in ways]
        if len(codes) > len(_VERDICTS):
            return [(said, read) for said, read in found[0] if said in _VERDICTS]
        return min(found, key=lambda pairs: sum(self.said[pair] for pair in pairs))


def refuse_contradictions(source: Source, data: Data) -> None:
    """Stop where a column that a resolved `data` leaves unread says otherwise than what is read.

    Raises:
        PipelineError: with both columns, in how many rows, the first of these, and the lines for each choice.
    """
    others = [name for name in unused_columns(source, data) if name not in (data.ignore_columns or [])]
    if data.format == "ratings" and (ranks := usual_names("rank", others)):
        _refuse(source, data, [str(data.columns.score)], {tuple(ranks): _ranks_beside_scores(source, data, ranks[0])})
    reading = _reading(source, data, others)
    if reading is None:
        return
    names = [name for name in others if _NAME.fullmatch(name.strip()) or usual_names("winner", [name])]
    claims: dict[tuple[str, ...], _Claim] = {(name,): _claim(name, data, reading) for name in names}
    if ranks := columns_of_sides("rank", others, reading.columns):
        claims[tuple(ranks)] = lambda row: _of_ranks([row.get(name) for name in ranks], data)
    needed = [*reading.columns, *reading.needed, *names, *ranks]
    if claims and _held(sample_rows(source, needed), reading, claims):
        read = [name for name in reading.needed if name not in (data.columns.models or ())] or list(reading.columns)
        _refuse(source, data, read, _held(read_rows(source, needed), reading, claims))


def _refuse(source: Source, data: Data, read: list[str], found: Mapping[tuple[str, ...], _Held]) -> None:
    for columns, held in found.items():
        if against := held.against(index=bool(_INDEX.fullmatch(columns[0].strip()))):
            raise PipelineError(_message(source, data, read, columns, held, against))


def _ranks_beside_scores(source: Source, data: Data, rank: str) -> _Held:
    """What the ranks of the best and of the worst response to each prompt say, by their scores."""
    prompt, score = str(data.columns.prompt), str(data.columns.score)
    ends: dict[int, list[tuple[float, int, Row]]] = {}
    for number, row in read_rows(source, [score, rank, *([prompt] if prompt in source.rows.column_names else [])]):
        if (found := code_number(row[score])) is not None:
            known = ends.setdefault(hash(str(row.get(prompt))), [])
            known.append((found, number, {score: row[score], rank: row[rank]}))
            known.sort(key=lambda one: one[:2])
            del known[1:-1]
    held = _Held()
    for known in ends.values():
        (low, _, worst), (high, number, best) = known[0], known[-1]
        if low < high and (said := _of_ranks([best[rank], worst[rank]], data)):
            held.add(number, best, said, "a")
    return held


def _reading(source: Source, data: Data, others: Sequence[str]) -> _Reading | None:
    columns = data.columns
    if data.format == "comparisons" and columns.response_a and columns.response_b:
        winners = [columns.winner] if isinstance(columns.winner, str) else columns.winner or []
        sides = (columns.response_a, columns.response_b)
        decoder = Decoder(data)

        def voted(row: Row) -> Verdict | None:
            texts, models = [row.get(name) for name in sides], [row.get(name) for name in columns.models or ()]
            found = [read_verdict(decoder.verdict(row.get(name), texts, models)) for name in winners]
            votes = [Vote("", verdict) for verdict in found if verdict]
            if len(winners) == 1:
                return votes[0].verdict if votes else None
            try:
                return majority(votes)
            except Unreadable:
                return None

        return _Reading(sides, (*winners, *(columns.models or ())), voted)
    if data.format == "preference_pairs" and columns.chosen and columns.rejected:
        pair = (columns.chosen, columns.rejected)
        if two := side_columns(others):

            def repeated(row: Row) -> Verdict | None:
                same = [row.get(name) == row.get(pair[0]) for name in two]
                return None if same[0] == same[1] else "a" if same[0] else "b"

            return _Reading(two, pair, repeated)
        return _Reading(pair, (), lambda row: "a", takes_codes=False)
    return None


def _claim(name: str, data: Data, reading: _Reading) -> _Claim:
    first, second = reading.columns
    columns = data.columns.model_copy(update={"response_a": first, "response_b": second})
    coding = type(data.winner_coding)(first=None, second=None, tie=None, skip=None)
    decoder = Decoder(data.model_copy(update={"winner_coding": coding, "columns": columns}))
    words = name.strip().casefold() not in _OTHER_WORDS
    tags = set(own_tags(reading.columns))

    def claim(row: Row) -> str | None:
        value, texts = row.get(name), [row.get(side) for side in reading.columns]
        if value is None or isinstance(value, list | dict) or (isinstance(value, str) and not value.strip()):
            return None
        if not reading.takes_codes and value not in texts and not tags & set(parts_of(str(value))):
            return None
        said = decoder.verdict(value, texts, [row.get(model) for model in data.columns.models or ()])
        if verdict := None if isinstance(said, Undeclared) else read_verdict(said):
            return verdict
        is_code = isinstance(value, bool) or code_number(value) is not None or (words and len(str(value)) <= _LONGEST)
        return plain_code(value) if is_code and reading.takes_codes else None

    return claim


def _of_ranks(ranks: Sequence[Any], data: Data) -> str | None:
    first, second = (code_number(rank) for rank in ranks)
    if first is None or second is None or first == second:
        return None
    if data.best_rank:
        return "a" if (first < second) == (data.best_rank == "lowest") else "b"
    return "lower" if first < second else "higher"


def _held(
    rows: Iterable[NumberedRow], reading: _Reading, claims: Mapping[tuple[str, ...], _Claim]
) -> dict[tuple[str, ...], _Held]:
    found: dict[tuple[str, ...], _Held] = {}
    for number, row in rows:
        read = reading.read(row)
        for columns, claim in claims.items() if read else ():
            if read and (said := claim(row)) is not None:
                found.setdefault(columns, _Held()).add(number, row, said, read)
    return found


def _message(
    source: Source,
    data: Data,
    read: list[str],
    columns: tuple[str, ...],
    held: _Held,
    against: Sequence[tuple[str, Verdict]],
) -> str:
    count, total = sum(held.said[pair] for pair in against), held.said.total()
    number, row = min((held.first[pair] for pair in against), key=lambda one: one[0])
    shown = ", ".join(f"{name}: {shorten(str(row.get(name)), _SHOWN)}" for name in (*read, *columns))
    first, other = " + ".join(read), " and ".join(columns)
    kept = data.ignore_columns or []
    lines = [f"  # if {first} counts:\n  ignore_columns: [{', '.join([*kept, *columns])}]"]
    if data.format == "comparisons" and len(columns) == 1:
        ignored = ", ".join([*kept, *read])
        lines.append(f"  # if {other} counts:\n  ignore_columns: [{ignored}]\n  columns:\n    winner: {other}")
    if data.format == "ratings":
        lines.append(f"  # if {other} counts (highest where the largest number is the best):\n{_BY_RANK}")
    if data.format == "comparisons" and len(lines) > 1 and all(said in _VERDICTS for said, _ in held.said):
        lines.append(
            "  # if each is a vote, so that rows in which they differ are dropped as ties:\n  columns:\n"
            f"    winner: [{', '.join([*read, *columns])}]"
        )
    unit = "prompts" if data.format == "ratings" else "rows"
    return (
        f"{source.name}: {first} and {other} both say which response is better, and contradict each other in "
        f"{count:,} of {total:,} {unit}. Row {number}, for example: {{{shown}}}.\n"
        "Mend the rows, or add to params.yaml, under data, which of them counts:\n" + "\n".join(lines)
    )
