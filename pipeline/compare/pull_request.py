"""Compare two working folders, as Markdown for a pull request.

    python -m pipeline.compare.pull_request BASE HEAD            prints it
    python -m pipeline.compare.pull_request BASE HEAD -o FILE    writes it

Both folders have run `dvc repro`. Differences are HEAD minus BASE, with 95 % intervals that are paired by prompt where
both sides answered the same prompts and were measured with the same judge, reward model and SFT policy. Results that
were not are named, and have no difference.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.compare.comparison import Row
from pipeline.compare.folders import Changed, compare_folders, same_samples
from pipeline.errors import PipelineError

MARK = "<!-- comparison of policies -->"
"""First line of the comment: by it the next run finds the one that it replaces."""


def as_markdown(changed: Changed) -> str:
    """The comment: results that changed, then the parameters and warnings behind them."""
    return "\n".join([MARK, "### What this change does to the policies", *_policies(changed), *_rest(changed), ""])


def _policies(changed: Changed) -> Iterator[str]:
    same = [name for name, comparison in changed.policies.items() if same_samples(comparison)]
    others = {name: comparison for name, comparison in changed.policies.items() if name not in same}
    if same:
        yield f"\nSample by sample the same: {', '.join(same)}."
    for name, comparison in others.items():
        yield f"\n**{name}**\n"
        rows = [[row.name, *row.cells, _strong(row.notes[1])] for row in comparison.metrics]
        yield from _table(["", "base", "change", "difference (95 % interval)"], rows)


def _strong(note: str) -> str:
    return f"**{note}**" if "beyond chance" in note else note


def _rest(changed: Changed) -> Iterator[str]:
    beside = _differing(changed.beside)
    if beside:
        yield "\n**Data and reward model** (intervals of each side)\n"
        yield from _table(["", "base", "change"], beside)
    if changed.params:
        yield "\n**Parameters that differ**\n"
        yield from _table(["", "base", "change"], [[f"`{row.name}`", *row.cells] for row in changed.params])
    if changed.flags:
        yield "\n**Warnings**\n"
        yield from (f"- {flag}" for flag in changed.flags)
    if changed.remarks:
        yield ""
        yield from (f"- {remark}" for remark in changed.remarks)


def _differing(rows: Sequence[Row]) -> list[list[str]]:
    return [[row.name, *row.cells] for row in rows if row.cells[0] != row.cells[1]]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(_cell(text) for text in row)} |" for row in rows)


def _cell(text: str) -> str:
    # a bar ends a cell, a new line the table
    return " ".join(text.replace("|", "\\|").split())


def main() -> None:
    """Print or write the comparison."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.compare.pull_request",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("base", type=Path)
    parser.add_argument("head", type=Path)
    parser.add_argument("-o", "--output", type=Path, help="a file, in place of the terminal")
    arguments = parser.parse_args()
    try:
        text = as_markdown(compare_folders(arguments.base, arguments.head))
    except PipelineError as error:
        sys.exit(f"error: {error}")
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
