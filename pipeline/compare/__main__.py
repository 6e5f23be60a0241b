"""Compare runs of policies, in the terminal and as a page.

    python -m pipeline.compare                        lists the runs
    python -m pipeline.compare RUN RUN [RUN ...]      side by side; the others minus the first

RUN is the beginning of a run's id, its name, `candidate` or `champion`, the name of an experiment of DVC, or
EXPERIMENT/POLICY where that has several policies, such as wavy-gnat/dpo.
"""

import argparse
import sys
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline import report
from pipeline.compare.comparison import Comparison, as_text, compare
from pipeline.compare.selection import finished_runs, listed, select
from pipeline.environment import set_environment
from pipeline.errors import PipelineError
from pipeline.params.loading import load_params
from pipeline.tracking.project_store import project_store

PAGE = Path("reports/compare.html")


def write_page(comparison: Comparison, path: Path) -> None:
    """Write the comparison as one HTML file."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    style = Markup((Path(report.__file__).parent / "style.css").read_text(encoding="utf-8"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(environment.get_template("page.html.j2").render(comparison=comparison, style=style), "utf-8")


def main() -> None:
    """Print the comparison and write its page; without arguments, list the runs."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--page", type=Path, default=PAGE, help=f"where the page goes (default: {PAGE})")
    arguments = parser.parse_args()
    set_environment()
    root = Path.cwd()
    try:
        experiment, store = load_params(root / "params.yaml").tracking.experiment, project_store(root)
        if not arguments.runs:
            print(listed(finished_runs(store, experiment)))
            return
        if len(arguments.runs) == 1:
            raise PipelineError("one run cannot be compared: name two or more")
        comparison = compare(select(store, experiment, arguments.runs))
        print(as_text(comparison))
        write_page(comparison, root / arguments.page)
        print(f"page: {(root / arguments.page).resolve()}")
    except PipelineError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
