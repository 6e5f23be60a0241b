"""Tables without a header: which column is which, by what the last one holds."""

from pipeline.params.codings import code_number
from pipeline.params.data import Data
from pipeline.reading.rows import BROKEN, Rows
from pipeline.reading.verdicts import read_verdict


def guess_columns(data: Data, rows: Rows) -> Data:
    """`data` with the columns of a table without a header, by what the last one holds: a verdict, or a score.

    0, 1 and 2 may be either, and are left for the user to name.
    """
    names = rows.column_names
    head = [row for row in (rows[index] for index in range(min(len(rows), 100))) if BROKEN not in row]
    last = [row[names[-1]] for row in head]
    numbers = [code_number(cell) for cell in last]
    fields = ["prompt", "context"]
    if len(names) in (4, 5) and all(read_verdict(cell) for cell in last):
        answers = ["response_a", "response_b", "winner"]
    elif len(names) in (3, 4) and None not in numbers and not set(numbers) <= {0, 1, 2}:
        answers = ["response", "score"]
    else:
        return data
    fields = [*fields[: len(names) - len(answers)], *answers]
    guessed = dict(zip(fields, [*names[: len(fields) - len(answers)], *names[-len(answers) :]], strict=True))
    given = {field: name for field, name in data.columns.model_dump().items() if name in names}
    return data.model_copy(update={"columns": data.columns.model_copy(update={**guessed, **given})})
