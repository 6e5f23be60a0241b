"""List the versions of the registered policy, or make one of them the champion.

python -m pipeline.tracking.promote      lists the versions, the newest first, and why they are not champion
python -m pipeline.tracking.promote 3    makes version 3 the champion
"""

import argparse
import sys
from pathlib import Path

from pipeline.environment import set_environment
from pipeline.errors import PipelineError
from pipeline.params.loading import load_params
from pipeline.tracking.project_store import project_store
from pipeline.tracking.registry import Registry


def main() -> None:
    """Make a version the champion; without a version, list all."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.tracking.promote",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("version", nargs="?", help="number of the version that becomes the champion")
    arguments = parser.parse_args()
    set_environment()
    root = Path.cwd()
    try:
        registry = Registry(project_store(root), load_params(root / "params.yaml").tracking.experiment)
        lines = [registry.promote(arguments.version)] if arguments.version else registry.table()
        print("\n".join(lines))
    except PipelineError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
