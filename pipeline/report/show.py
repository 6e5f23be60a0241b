"""Print the last comparison and where its page is: the end of `make repro`."""

import sys
from pathlib import Path

from pipeline.report.comparison import comparison_table
from pipeline.report.state import PAGE, stale_reason
from pipeline.results.comparison import Comparison
from pipeline.results.document import read_document


def main() -> None:
    """Print the table of reports/comparison.json, and the page only where it is of the same state."""
    comparison = Path("reports/comparison.json")
    if not comparison.is_file():
        sys.exit(f"{comparison}: no such file. Run `dvc repro`.")
    print(comparison_table(read_document(comparison, Comparison)))
    reason = stale_reason(Path.cwd())
    print(f"report: {PAGE.resolve()}" if reason is None else f"report: {reason}")


if __name__ == "__main__":
    main()
