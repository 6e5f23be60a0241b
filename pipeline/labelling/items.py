"""The items to vote on: a prompt and two responses, shown in an order that does not reveal their origin."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.data.records import read_records, record_id
from pipeline.errors import PipelineError
from pipeline.reading.vote_files import read_vote_lines
from pipeline.seeding import seed_for

DEFAULT = Path("artifacts/preferences/raw.jsonl")
_SIDES = (("chosen", "rejected"), ("response_a", "response_b"))
"""Names of the two responses, in the files that the pipeline writes and in others."""


@dataclass(frozen=True)
class Item:
    """A prompt and two responses in the order of their file."""

    id: str
    prompt: str
    responses: tuple[str, str]
    ended: tuple[bool, bool] = (True, True)
    """False where sampling cut a response off."""

    def order_for(self, annotator: str, seed: int) -> str:
        """`ab`, or `ba` where this annotator sees the second response first."""
        return ("ab", "ba")[seed_for(seed, f"labelling/shown/{annotator}/{self.id}") % 2]


def load_items(path: Path, votes: Path, *, seed: int) -> list[Item]:
    """The items of a JSON Lines file, in a random order that all annotators share.

    So an annotator who stops early has voted on items that others voted on, too, and on items of every split. If the
    file was itself made from votes (collect_preferences.source is labelled), the items are those of the vote files.

    Args:
        path: rows with `prompt`, and `chosen` and `rejected` or `response_a` and `response_b`.
        votes: the folder of the vote files.

    Raises:
        PipelineError: there is no file or no row, or a row lacks a text, naming file and line.
    """
    if not path.is_file():
        hint = " Build it with `make repro`, or at least `dvc repro collect_preferences`." if path == DEFAULT else ""
        raise PipelineError(f"{path}: there is no such file to take items from.{hint}")
    rows = read_records(path)
    if rows and all(row.get("source") == "labelled" for row in rows):
        items = [item for file in sorted(votes.glob("*.jsonl")) for item in _voted_items(file)]
    else:
        items = [_item(row, f"{path}, line {number}") for number, row in enumerate(rows, start=1)]
    if not items:
        raise PipelineError(f"{path}: no rows, so there is nothing to vote on.")
    unique = {item.id: item for item in items}.values()
    return sorted(unique, key=lambda item: (seed_for(seed, f"labelling/order/{item.id}"), item.id))


def _voted_items(file: Path) -> Iterable[Item]:
    for row in read_vote_lines(file).rows:
        # in the item's own order, so that the order on the page does not depend on who voted before
        sides = ("b", "a") if row.get("order") == "ba" else ("a", "b")
        yield _item({**row, "id": row.get("item")}, str(file), tuple(f"response_{side}" for side in sides))


def _item(row: Mapping[str, Any], where: str, sides: tuple[str, ...] | None = None) -> Item:
    names = sides or next((pair for pair in _SIDES if pair[0] in row), _SIDES[0])
    for name in ("prompt", *names):
        if not isinstance(row.get(name), str):
            raise PipelineError(
                f"{where}: {name} is not a text. An item needs prompt, and chosen and rejected or response_a and "
                "response_b."
            )
    prompt, first, second = (row[name] for name in ("prompt", *names))
    identity = row.get("id")
    return Item(
        str(identity) if identity is not None else record_id(prompt, first, second),
        prompt,
        (first, second),
        (bool(row.get(f"{names[0]}_ended", True)), bool(row.get(f"{names[1]}_ended", True))),
    )
