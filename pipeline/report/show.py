"""Print the last comparison and where its page is: the end of `make repro`."""

import json
import sys
from pathlib import Path

from pipeline.report.comparison import comparison_table


def main() -> None:
    """Print the table of reports/comparison.json."""
    comparison = Path("reports/comparison.json")
    page = Path("reports/index.html")
    if not comparison.is_file():
        sys.exit(f"{comparison}: no such file. Run `dvc repro`.")
    print(comparison_table(json.loads(comparison.read_text())))
    print(f"report: {page.resolve()}" if page.is_file() else "report: run `make report` to render the page")


if __name__ == "__main__":
    main()
