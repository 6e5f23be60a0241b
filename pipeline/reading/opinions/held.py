"""What a column says beside what is read of the same responses, counted."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import permutations

from pipeline.reading.rows import Row
from pipeline.reading.votes import Verdict

DENIES_A, DENIES_B, NO_TIE, AGREES, DISAGREES = "not a", "not b", "not tie", "agrees", "disagrees"
"""Said, besides verdicts: that one did not win, whoever else did; that what is read is right, or wrong."""
_VERDICTS: tuple[Verdict, ...] = ("a", "b", "tie")
_CLEAR = frozenset({*_VERDICTS, DENIES_A, DENIES_B, NO_TIE, AGREES, DISAGREES})
COUNTED: tuple[Mapping[str, str], ...] = ({"0": "a", "1": "b"}, {"1": "a", "2": "b"})
"""What numbers of two responses may mean."""
_MOST_CODES = 50
_FEWEST = 30
_NEARLY_ALL = 0.95


@dataclass
class Held:
    """What a column says, by what is read of the same responses."""

    said: Counter[tuple[str, Verdict]] = field(default_factory=Counter)
    """A verdict or a code, which may mean any, and what is read."""
    first: dict[tuple[str, Verdict], tuple[int, Row]] = field(default_factory=dict)

    def add(self, number: int, row: Row, said: str, read: Verdict) -> None:
        """What it says of a row, unless it has too many codes to be any."""
        if said in _CLEAR or len(self.said) < _MOST_CODES:
            self.said[said, read] += 1
            self.first.setdefault((said, read), (number, row))

    def against(self, ways: Iterable[Mapping[str, str]] | None = None) -> list[tuple[str, Verdict]]:
        """What contradicts what is read, where codes mean what contradicts it least.

        Args:
            ways: what the codes may mean; None where each may be any verdict.
        """
        seen = {said for said, _ in self.said}
        codes = sorted(seen - _CLEAR)
        # beside a and b other words are no codes for them, and one code alone cannot say who won
        if seen & {"a", "b"} or len(codes) == 1:
            ways = [{}]
        if ways is None:
            if len(codes) > len(_VERDICTS):
                return [(said, read) for said, read in self.said if said in _CLEAR and contradicts(said, read)]
            ways = [dict(zip(codes, way, strict=True)) for way in permutations(_VERDICTS, len(codes))]
        found = [[(said, read) for said, read in self.said if contradicts(way.get(said, said), read)] for way in ways]
        return min(found, key=lambda pairs: sum(self.said[pair] for pair in pairs))

    def nearly_agrees(self, least: float | None = None) -> bool:
        """It says so often what is read that it can only be about the same, whatever the column is called.

        Args:
            least: share of what it says; None for nearly all of many.
        """
        total = self.said.total()
        right = 1 - sum(self.said[pair] for pair in self.against()) / max(total, 1)
        if least is not None:
            return right >= least
        read = Counter[str]()
        for (_, verdict), count in self.said.items():
            read[verdict] += count
        chance = max(read.values(), default=0) / max(total, 1)
        return total >= _FEWEST and right >= max(_NEARLY_ALL, (1 + chance) / 2)


def contradicts(said: str, read: Verdict) -> bool:
    """Whether what is said, if it is a verdict at all, is another than what is read."""
    if said in (DENIES_A, DENIES_B, NO_TIE):
        return said == f"not {read}"
    return said == DISAGREES or (said in _VERDICTS and said != read)
