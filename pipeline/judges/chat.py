"""A chat model as the judge: it sees two responses side by side, in both orders."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.data.passages import Passage
from pipeline.endpoints.asking import answers
from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.group import from_first
from pipeline.judges.endpoint import ChatEndpoint
from pipeline.judges.protocol import VerdictRecord
from pipeline.judges.replies import ReplyStore
from pipeline.judges.rules import ChatRules, read_verdict
from pipeline.progress import progress_bar

Game = tuple[str, str, str]
"""Prompt, the response shown as A, the response shown as B."""


class ChatJudge:
    """Prefers a response if the model prefers it in both orders; if the two verdicts disagree, it is a tie."""

    def __init__(self, rules: ChatRules, endpoint: ChatEndpoint, store: ReplyStore, *, concurrency: int) -> None:
        self._rules = rules
        self._endpoint = endpoint
        self._store = store
        self._concurrency = concurrency
        self._replies: dict[Game, list[str]] = {}
        self._compared: dict[Game, float] = {}

    def compare(self, prompts: Sequence[str], first: Sequence[Passage], second: Sequence[Passage]) -> np.ndarray:
        """See `Judge.compare`. Equal responses are a tie without asking.

        Only the texts are compared: the model sees for itself where one breaks off.

        Raises:
            PipelineError: the endpoint fails, or too many verdicts are malformed.
        """
        triples = [(prompt, one.text, other.text) for prompt, one, other in zip(prompts, first, second, strict=True)]
        different = [(prompt, a, b) for prompt, a, b in dict.fromkeys(triples) if a != b]
        self._play(game for prompt, a, b in different for game in ((prompt, a, b), (prompt, b, a)))
        for triple in triples:
            self._compared[triple] = self._preference(triple)
        self._require_verdicts(different)
        return np.array([self._compared[triple] for triple in triples])

    def rate(self, prompts: Sequence[str], responses: Sequence[Passage], against: Sequence[Passage]) -> np.ndarray:
        """See `Judge.rate`: the preference over `against`."""
        return self.compare(prompts, responses, against)

    def rank(self, prompts: Sequence[str], samples: Sequence[Sequence[Passage]]) -> np.ndarray:
        """See `Judge.rank`: a sample's mean preference over its opponents; comparisons without a verdict do not count.

        The samples of a prompt form a ring, and each is compared with the next `opponents`; if that is None, with all.
        """
        copies = len(samples[0]) if samples else 0
        pairs = ring(copies, self._rules.opponents)
        games = [(prompt, drawn[i], drawn[j]) for prompt, drawn in zip(prompts, samples, strict=True) for i, j in pairs]
        columns = list(zip(*games, strict=True)) or [(), (), ()]
        preferences = self.compare(*columns).reshape(len(prompts), len(pairs))
        strengths = np.full((len(prompts), copies), np.nan)
        for copy in range(copies):
            own = [(k, i == copy) for k, (i, j) in enumerate(pairs) if copy in (i, j)]
            played = [preferences[:, k] if is_first else 1 - preferences[:, k] for k, is_first in own]
            strengths[:, copy] = _mean_without_nan(np.stack(played, axis=1))
        return strengths

    def counts(self) -> dict[str, int | float]:
        """Counts of comparisons by outcome.

        `both_first` and `both_second` count those where the model preferred the same position in both orders; they show
        its position bias.
        """
        outcomes = Counter(self._outcome(triple) for triple in self._compared)
        names = ("identical", "malformed", "decided", "tied", "both_first", "both_second", "half_tied")
        judged = sum(outcomes[name] for name in names[2:])
        counts: dict[str, int | float] = {"compared": len(self._compared), **{name: outcomes[name] for name in names}}
        bias = (outcomes["both_first"] - outcomes["both_second"]) / judged if judged else 0.0
        return {**counts, "position_bias": bias}

    def verdicts(self) -> list[VerdictRecord]:
        """Every comparison with the replies in both orders."""
        return [
            {
                "prompt": prompt,
                "first": a,
                "second": b,
                "outcome": self._outcome((prompt, a, b)),
                "preference": None if np.isnan(preference) else preference,
                "replies": self._replies.get((prompt, a, b), []),
                "replies_swapped": self._replies.get((prompt, b, a), []),
            }
            for (prompt, a, b), preference in self._compared.items()
        ]

    def _play(self, games: Iterable[Game]) -> None:
        """Ask the model about every game that was not asked about yet; of several processes the first asks for all."""
        todo = [game for game in dict.fromkeys(games) if game not in self._replies]
        if todo:
            self._replies |= from_first(lambda: self._ask(todo))

    def _ask(self, todo: Sequence[Game]) -> dict[Game, list[str]]:
        played = answers(self._endpoint, self._converse, todo, concurrency=self._concurrency)
        # replies to requests that were sent are kept, where one fails
        for game, replies in progress_bar(played, total=len(todo), title="judge", unit="verdict"):
            self._replies[game] = replies
        return {game: self._replies[game] for game in todo}

    def _converse(self, game: Game) -> list[str]:
        """The replies of the model, asked until one has a verdict, at most `max_asks` times."""
        replies: list[str] = []
        while len(replies) < self._rules.max_asks and not (replies and read_verdict(replies[-1])):
            messages = self._rules.messages(*game, replies)
            request = {"model": self._rules.model, "messages": messages, **self._rules.request}
            reply = self._store.get(request)
            if reply is None:
                reply = self._endpoint.complete(request)
                self._store.add(request, reply)
            replies.append(reply)
        return replies

    def _outcome(self, triple: Game) -> str:
        prompt, a, b = triple
        if a == b:
            return "identical"
        one, other = (read_verdict(self._replies[game][-1]) for game in ((prompt, a, b), (prompt, b, a)))
        if one is None or other is None:
            return "malformed"
        if one == other:
            return {"A": "both_first", "B": "both_second", "C": "tied"}[one]
        return "half_tied" if "C" in (one, other) else "decided"

    def _preference(self, triple: Game) -> float:
        outcome = self._outcome(triple)
        if outcome == "malformed":
            return float("nan")
        return float(read_verdict(self._replies[triple][-1]) == "A") if outcome == "decided" else 0.5

    def _require_verdicts(self, triples: Sequence[Game]) -> None:
        malformed = [triple for triple in triples if np.isnan(self._compared[triple])]
        if len(malformed) > self._rules.max_malformed_share * len(triples):
            prompt, a, b = malformed[0]
            replies = [self._replies[game][-1] for game in ((prompt, a, b), (prompt, b, a))]
            example = next(reply for reply in replies if read_verdict(reply) is None)
            raise PipelineError(
                f"judge: {len(malformed)} of {len(triples)} comparisons have no verdict, more than "
                f"judge.chat.max_malformed_share ({self._rules.max_malformed_share:g}). One reply: "
                f"{shorten(example)!r}. Use a more capable model, raise judge.chat.max_asks or the tokens in "
                "judge.chat.request."
            )


def ring(copies: int, opponents: int | None) -> list[tuple[int, int]]:
    """Positions of the samples to compare: each of `copies` in a ring with the next `opponents`; None is all pairs.

    They are copies * opponents comparisons, at most copies * (copies - 1) / 2, of two requests each.
    """
    reach = copies - 1 if opponents is None else min(opponents, copies - 1)
    met = dict.fromkeys(tuple(sorted((i, (i + step) % copies))) for step in range(1, reach + 1) for i in range(copies))
    return [(first, second) for first, second in met]


def _mean_without_nan(values: np.ndarray) -> np.ndarray:
    """Mean of each row without its NaNs; NaN for a row that has nothing else."""
    known = ~np.isnan(values)
    number = known.sum(1)
    return np.where(number > 0, np.where(known, values, 0.0).sum(1) / np.maximum(number, 1), np.nan)
