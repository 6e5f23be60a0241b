"""Prompts with their splits: a pair is in the split of its prompt."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data.record_files import RecordFile
from pipeline.data.table_rows import PromptRow
from pipeline.data.views import View
from pipeline.errors import PipelineError


@dataclass(frozen=True)
class SplitPrompt:
    """A prompt that pairs are made on."""

    id: str
    prompt: str
    category: str
    """The kind of prompt."""
    split: str
    """train, validation or test."""


def prompts_in_splits(prompts: Mapping[str, Iterable[PromptRow]]) -> list[SplitPrompt]:
    """All prompts, split by split.

    Args:
        prompts: rows of each split, in the order in which they are wanted.
    """
    return [
        SplitPrompt(row["id"], row["prompt"], row["category"], split) for split, rows in prompts.items() for row in rows
    ]


def read_prompts(path: Path) -> Sequence[PromptRow]:
    """The rows of a file of artifacts/data/prompts, each read when it is asked for.

    Raises:
        PipelineError: on access, where a line is no prompt; the error names file and line.
    """
    records = RecordFile(path)

    def row(at: int) -> PromptRow:
        record = records[at]
        if missing := [name for name in PromptRow.__annotations__ if name not in record]:
            raise PipelineError(f"{path}, line {at + 1}: lacks {', '.join(missing)}")
        return {"id": record["id"], "prompt": record["prompt"], "category": record["category"]}

    return View(np.arange(len(records)), row)
