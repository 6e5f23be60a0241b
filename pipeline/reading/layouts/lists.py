"""Rows with a list of better responses and a list of worse ones."""

from collections.abc import Sequence
from typing import Any

from pipeline.reading.chats import Unreadable
from pipeline.reading.layouts.cells import text
from pipeline.reading.layouts.layout import Converted
from pipeline.reading.rows import UNUSED
from pipeline.reading.written_messages import structure


def texts(value: Any) -> list[str]:
    """A list of texts.

    Raises:
        Unreadable: it is something else, or empty.
    """
    found = structure(value)
    if not isinstance(found, Sequence) or isinstance(found, str) or not found:
        raise Unreadable("no_list_of_responses", value)
    if not all(isinstance(one, str) for one in found):
        raise Unreadable("text_is_no_string", value)
    return [text(one) for one in found]


def pairs_of_lists(prompt: Any, better: list[str], worse: list[str]) -> Converted:
    """Pairs of the texts at the same positions; where the lists differ in length, the first better over each worse one.

    Every other pair of the row is unused.
    """
    pairs = list(zip(better, worse, strict=True)) if len(better) == len(worse) else [(better[0], one) for one in worse]
    found = [{"prompt": prompt, "chosen": one, "rejected": other} for one, other in pairs]
    return [*found, *({UNUSED: "other_pair_of_the_row"} for _ in range(len(better) * len(worse) - len(pairs)))]
