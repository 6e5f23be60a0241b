"""How a CSV file is written: its delimiter, whether it quotes, and whether it has a header line."""

import csv
import re
from pathlib import Path
from typing import Any

from datasets import Features, Value

from pipeline.reading.loose import open_text

_LONGEST_NAME = 64
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")


def table_options(path: Path) -> dict[str, Any]:
    """Options of `datasets`' CSV reader for a file: every cell a text, an empty one null, "None" and "nan" texts.

    A file with tabs in its first line is tab separated, and unquoted if every line then has as many cells. A first
    line with an empty, repeated, numeric or long cell is no header; `names` are then `column_1`, `column_2`, ...

    Raises:
        ValueError: the first record cannot be read.
    """
    csv.field_size_limit(2**31 - 1)
    options: dict[str, Any] = {"keep_default_na": False, "na_values": [""]}
    with open_text(path) as stream:
        first_line = stream.readline().rstrip("\r\n")
    if "\t" in first_line and first_line.count("\t") >= first_line.count(","):
        options["sep"] = "\t"
        if _is_unquoted(path, first_line.count("\t")):
            options["quoting"] = csv.QUOTE_NONE
    try:
        with open_text(path) as stream:
            cells = next(csv.reader(stream, delimiter=options.get("sep", ","), quoting=options.get("quoting", 0)))
    except (csv.Error, StopIteration) as error:
        raise ValueError(f"its first line cannot be read: {error or 'there is none'}") from error
    # pandas names a column without a name like this
    names = [cell or f"Unnamed: {number}" for number, cell in enumerate(cells)]
    if not _is_header(cells):
        names = [f"column_{number}" for number in range(1, len(cells) + 1)]
        options |= {"names": names, "header": None}
    return {**options, "features": Features({name: Value("string") for name in names})}


def _is_unquoted(path: Path, tabs: int) -> bool:
    with open_text(path) as stream:
        return all(line.count("\t") == tabs for line in stream if line.strip())


def _is_header(cells: list[str]) -> bool:
    # exports of tables end with an unnamed column often enough
    names = cells[:-1] if cells and not cells[-1] else cells
    return len(set(names)) == len(names) and all(
        name.strip() and len(name) <= _LONGEST_NAME and "\n" not in name and not _NUMBER.fullmatch(name.strip())
        for name in names
    )
