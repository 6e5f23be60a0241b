"""Say what a run would read, use and do, and what is wrong, before anything is trained: `python -m pipeline.check`.

Exits with 1 where something would stop the run. `dvc repro` begins with the same check.
"""

import argparse
import sys
from pathlib import Path

from pipeline.environment import set_environment
from pipeline.errors import PipelineError
from pipeline.params.loading import PARAMS_FILE, load_params


def main() -> None:
    """Check the project in the current folder."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--params", type=Path, default=PARAMS_FILE, help="parameters to check (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        params = load_params(arguments.params)
    except PipelineError as error:
        sys.exit(f"error: {error}")
    set_environment()
    # they take seconds to import, and a wrong key should not wait for them
    from pipeline.check.project import check_project
    from pipeline.check.settings import settings_of
    from pipeline.check.text import render

    findings = check_project(settings_of(params), Path.cwd(), Path(".state/check/policy"))
    print(render(findings, arguments.params), flush=True)
    sys.exit(1 if findings.errors else 0)


if __name__ == "__main__":
    main()
