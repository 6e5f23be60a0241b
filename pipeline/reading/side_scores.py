"""Comparisons without a winner, in which a number of each response decides: a score, votes, or a rank."""

from collections import Counter

from pipeline.errors import PipelineError
from pipeline.params.codings import code_number, plain_code
from pipeline.params.data import Data
from pipeline.reading.chats import Unreadable
from pipeline.reading.coding_advice import Values, advise
from pipeline.reading.fields import FILE_NAME, columns_in
from pipeline.reading.opinions.names import is_rank, is_score
from pipeline.reading.responses import read_number
from pipeline.reading.rows import Row
from pipeline.reading.samples import sample_rows
from pipeline.reading.sources import Source
from pipeline.reading.votes import Verdict


def compared_by(data: Data) -> list[str]:
    """The columns of the numbers that a resolved `data` compares responses by; none where it has a winner."""
    columns = data.columns
    if data.format != "comparisons" or columns.winner or not columns.scores:
        return []
    return columns_in(columns.scores)


def are_ranks(data: Data) -> bool:
    """Whether these are ranks, of which `data.best_rank` says the best; of others `data.best_score` does."""
    return all(map(is_rank, compared_by(data)))


def refuse_open_numbers(source: Source, data: Data) -> None:
    """Stop where nothing says whether the higher or the lower number is that of the better response.

    Raises:
        PipelineError: with the columns, a row, and the lines to add.
    """
    names = compared_by(data)
    if len(names) != 2:
        raise PipelineError(
            f"data.columns.scores of {source.name} is {', '.join(names)}: for comparisons without a winner name two "
            "columns there, that of the first response before that of the second."
        )
    open_ranks = are_ranks(data) and data.best_rank is None
    if open_ranks or not (are_ranks(data) or data.best_score or all(map(is_score, names))):
        shown = [data.columns.prompt, data.columns.response_a, data.columns.response_b, *names]
        rows = list(sample_rows(source, [name for name in shown if name and name != FILE_NAME]))
        found = Counter(plain_code(row[name]) for _, row in rows for name in names if row[name] is not None)
        raise PipelineError(
            advise("rank" if open_ranks else "score", source.name, " + ".join(names), Values(found, rows[0]))
        )


def winner_by_numbers(fields: Row, data: Data) -> Verdict:
    """Who won a row, by the numbers of both responses.

    Args:
        fields: `scores.0` and `scores.1`, of which more is better but for ranks.
        data: resolved.

    Raises:
        Unreadable: one is missing, or is not a number.
    """
    values = [fields.get(f"scores.{at}") for at in (0, 1)]
    if any(value is None or (isinstance(value, str) and not value.strip()) for value in values):
        raise Unreadable("no_score", *values)
    first, second = map(read_number, values)
    if first == second:
        return "tie"
    return "a" if (first > second) != (are_ranks(data) and data.best_rank == "lowest") else "b"


def shown_order(row: Row, data: Data) -> Verdict | None:
    """The same of a raw row, None where it cannot be read."""
    first, second = (code_number(row.get(name)) for name in compared_by(data))
    if first is None or second is None:
        return None
    turn = -1 if not are_ranks(data) and data.best_score == "lowest" else 1
    return winner_by_numbers({"scores.0": turn * first, "scores.1": turn * second}, data)
