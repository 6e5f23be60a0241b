"""Rows with two responses or more, and which of them is preferred."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from pipeline.reading.chats import Message, Unreadable, is_chat, read_messages
from pipeline.reading.record import Record
from pipeline.reading.responses import read_number, read_responses, refuse_non_texts
from pipeline.reading.rows import Row
from pipeline.reading.styles import Style, split_chats
from pipeline.reading.transcripts import split_transcripts
from pipeline.reading.verdicts import NO_VERDICTS, Undeclared, agreement, majority, read_verdict
from pipeline.reading.votes import Verdict, Vote
from pipeline.reading.written_messages import refuse_written_messages

SCORES = ("chosen_score", "rejected_score")


@dataclass(frozen=True)
class Comparison:
    """Two responses and what people said of them."""

    prompt: str
    responses: tuple[str, str]
    votes: tuple[Vote, ...]
    decide: Callable[[Sequence[Vote]], Literal["a", "b"]] = majority
    """Says from the votes which response was preferred; raises Unreadable where they do not say it."""
    scores: tuple[float, float] | None = None
    """Scores of the responses, where the data has scores beside the votes."""


def read_pair(row: Row, style: Style) -> Record:
    """A chosen and a rejected response: texts, chats, or transcripts with a common beginning.

    Raises:
        Unreadable: with the reason, as in all readers here.
    """
    chosen, rejected = row["chosen"], row["rejected"]
    if row.get("prompt") is not None:
        return _named(read_responses(row, style, chosen, rejected))
    refuse_written_messages(chosen, rejected)
    if isinstance(chosen, str) and isinstance(rejected, str):
        refuse_non_texts(*(text for text in (chosen, rejected) if not text.strip()))
        return _named(style.transcript(*_split(row, chosen, rejected)))
    if is_chat(chosen) and is_chat(rejected):
        return _named(split_chats(chosen, rejected, style))
    refuse_non_texts(*(value for value in (chosen, rejected) if not is_chat(value)))
    refuse_non_texts(chosen, rejected)
    raise Unreadable("text_is_no_string", chosen, rejected)


def _split(row: Row, chosen: str, rejected: str) -> tuple[str, str, str]:
    """Two transcripts; where a prompt should stand beside them and does not, that is the reason."""
    try:
        return split_transcripts(chosen, rejected)
    except Unreadable as error:
        if "prompt" in row and str(error) == "no_shared_turn":
            raise Unreadable("empty_prompt", row["prompt"]) from None
        raise


def read_pair_scores(row: Row) -> Record:
    """The scores of a pair where both are numbers."""
    scores = _numbers(row, *SCORES)
    return {} if scores is None else {"chosen_score": scores[0], "rejected_score": scores[1]}


def _named(texts: tuple[str, ...]) -> Record:
    prompt, chosen, rejected = texts
    if not prompt.strip():
        raise Unreadable("empty_prompt", prompt)
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def read_comparison(row: Row, style: Style) -> Comparison:
    """Two responses with one vote or several; or the two games of a judge's record."""
    if "judge_prompt" in row:
        return _read_judgement(row, style)
    given = {key: value for key, value in row.items() if key.startswith("winner") and not _says_nothing(value)}
    who = str(row["annotator"]) if row.get("annotator") is not None else None
    passed = [NO_VERDICTS[value] for value in given.values() if isinstance(value, str) and value in NO_VERDICTS]
    votes = tuple(
        Vote(who or key, _verdict(value))
        for key, value in given.items()
        if not (isinstance(value, str) and value in NO_VERDICTS)
    )
    if not votes:
        winners = {key: value for key, value in row.items() if key.startswith("winner")}
        raise Unreadable(passed[0] if passed else "no_winner", *winners.values())
    prompt, first, second = read_responses(row, style, row["response_a"], row["response_b"])
    return Comparison(prompt, (first, second), votes, scores=_numbers(row, "scores.0", "scores.1"))


def _numbers(row: Row, *names: str) -> tuple[float, float] | None:
    """Two scores where both are numbers."""
    try:
        first, second = (read_number(row.get(name)) for name in names)
    except Unreadable:
        return None
    return first, second


def _says_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _verdict(value: Any) -> Verdict:
    """One that cannot be read makes its row unreadable: the other votes alone may have another majority."""
    if isinstance(value, Undeclared):
        raise Unreadable("undeclared_winner", value.value)
    found = read_verdict(value)
    if found is None:
        raise Unreadable("unreadable_verdict", value)
    return found


_JUDGED = re.compile(
    r"\[User Question\]\n(?P<question>.*?)\n+"
    r"(?:\[The Start of Reference Answer\].*?\[The End of Reference Answer\]\n+)?"
    r"\[The Start of Assistant A's Answer\]\n(?P<a>.*?)\n\[The End of Assistant A's Answer\]\n+"
    r"\[The Start of Assistant B's Answer\]\n(?P<b>.*?)\n\[The End of Assistant B's Answer\]",
    re.DOTALL,
)
_WINNERS: dict[str, Verdict] = {"model_1": "a", "model_2": "b", "tie": "tie"}


def _read_judgement(row: Row, style: Style) -> Comparison:
    """FastChat's record of a pairwise judge: two games, in the second of which the answers changed places."""
    found = _JUDGED.search(row["judge_prompt"]) if isinstance(row["judge_prompt"], str) else None
    if found is None:
        raise Unreadable("no_question_and_answers", row["judge_prompt"])
    verdicts = [_WINNERS.get(str(row[f"winner.{game}"])) for game in (0, 1)]
    if None in verdicts:
        raise Unreadable("unreadable_verdict", *(row[f"winner.{game}"] for game in (0, 1)))
    prompt, first, second = read_responses({"prompt": found["question"]}, style, found["a"], found["b"])
    votes = tuple(
        Vote(f"game {game}", verdict, swapped=game == 2) for game, verdict in enumerate(verdicts, start=1) if verdict
    )
    return Comparison(prompt, (first, second), votes, agreement)


def read_round_robin(row: Row, style: Style) -> list[Comparison | Unreadable]:
    """Several responses and a verdict for each two of them, in the order 1-2, 1-3, ..., 2-3, ...

    Where a verdict says nothing, the reason comes instead of the comparison.
    """
    responses = [row[key] for key in row if key.startswith("responses.")]
    verdicts = row.get("winner.0", row.get("winner"))
    pairs = list(combinations(range(len(responses)), 2))
    if not isinstance(verdicts, Sequence) or isinstance(verdicts, str) or len(verdicts) != len(pairs):
        raise Unreadable("no_verdict_for_every_two", verdicts)
    prompt, *texts = read_responses(row, style, *responses)
    return [
        _compared(prompt, (texts[one], texts[two]), verdict)
        for (one, two), verdict in zip(pairs, verdicts, strict=True)
    ]


def _compared(prompt: str, responses: tuple[str, str], verdict: Any) -> Comparison | Unreadable:
    if _says_nothing(verdict):
        return Unreadable("no_winner", verdict)
    try:
        return Comparison(prompt, responses, (Vote("winner", _verdict(verdict)),))
    except Unreadable as reason:
        return reason


def read_tree(row: Row, style: Style) -> Iterator[Record | Unreadable]:
    """The best and the worst of the ranked replies to every message of a tree as OpenAssistant stores it.

    A lower rank is better. Where replies are ranked but give no pair, the reason comes instead; a tree without ranked
    replies is refused as a whole.
    """
    pairs: list[Record | Unreadable] = []
    todo: list[tuple[list[Message], Any]] = [([], row["tree"])]
    while todo:
        history, node = todo.pop()
        messages = [*history, *read_messages(node)]
        replies = node.get("replies") if isinstance(node, Mapping) else None
        replies = [reply for reply in replies or [] if isinstance(reply, Mapping)]
        # the last is taken first, so that pairs come in the order of the tree
        todo += [(messages, reply) for reply in reversed(replies)]
        ranked = [reply for reply in replies if reply.get("rank") is not None]
        if len(ranked) > 1:
            pairs.append(_best_and_worst(messages, ranked, style))
    if not pairs:
        raise Unreadable("no_ranked_replies", row["tree"])
    yield from pairs


def _best_and_worst(messages: list[Message], replies: list[Row], style: Style) -> Record | Unreadable:
    try:
        ranks = [read_number(reply["rank"]) for reply in replies]
        best, worst = ranks.index(min(ranks)), ranks.index(max(ranks))
        if ranks[best] == ranks[worst]:
            return Unreadable("tie", ranks)
        prompt = style.prompt(messages)
        texts = [style.response(read_messages(replies[at])[-1]) for at in (best, worst)]
    except Unreadable as reason:
        return reason
    return {"prompt": prompt, "chosen": texts[0], "rejected": texts[1]}
