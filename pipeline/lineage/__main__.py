"""Audit which data, parameters and code produced a checkpoint or report.

python -m pipeline.lineage audit artifacts/selected/dpo/seed-0           the tree down to the raw data
python -m pipeline.lineage audit --verify artifacts/selected/dpo/seed-0  is all of it still what it was?
python -m pipeline.lineage audit --record ID               where a raw record went, or why it was dropped
python -m pipeline.lineage audit --diff REV1 REV2 [PATH]   what differs between two versions
"""

import argparse
import json
import os
import sys
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.launch import ENVIRONMENT
from pipeline.lineage.contents import Contents
from pipeline.lineage.diff import differences
from pipeline.lineage.lockfile import Lock, revision_lock, workspace_lock
from pipeline.lineage.record import trace_record
from pipeline.lineage.runs import Runs
from pipeline.lineage.tree import lineage, relative, render
from pipeline.lineage.verify import breaks
from pipeline.params.loading import load_params


def main() -> None:
    """Parse the command line and answer; exit 1 when something does not verify, 2 on a wrong call."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.lineage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    audit = parser.add_subparsers(dest="command", required=True).add_parser(
        "audit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    audit.add_argument("path", nargs="?", help="a checkpoint folder, report or data file that a stage wrote")
    what = audit.add_mutually_exclusive_group()
    what.add_argument("--verify", action="store_true", help="recompute every hash; exit 1 and name what differs")
    what.add_argument("--record", metavar="ID", help="follow one raw record")
    what.add_argument(
        "--diff", nargs=2, metavar=("REV1", "REV2"), help="compare git revisions (`workspace` is the working folder)"
    )
    audit.add_argument("--full", action="store_true", help="every parameter and code file")
    audit.add_argument("--json", action="store_true", help="for programs")
    arguments = parser.parse_args()
    if not arguments.record and not arguments.diff and not arguments.path:
        audit.error("name a PATH, such as artifacts/selected/dpo/seed-0")
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    try:
        sys.exit(_audit(arguments, Path.cwd()))
    except PipelineError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:  # whoever reads it has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _audit(arguments: argparse.Namespace, root: Path) -> int:
    contents = Contents(root)
    if arguments.record:
        trace = trace_record(arguments.record, workspace_lock(root), contents)
        print(json.dumps(vars(trace), indent=2) if arguments.json else trace.describe())
        return 0
    runs = Runs(load_params(root / "params.yaml").tracking, root)
    if runs.missing:
        print(f"MLflow: {runs.missing}", file=sys.stderr)
    if arguments.diff:
        return _diff(arguments, root, contents, runs)
    tree = lineage(relative(arguments.path, root), workspace_lock(root), contents, runs)
    if not arguments.verify:
        print(json.dumps(tree.as_dict(), indent=2) if arguments.json else render(tree, full=arguments.full))
        return 0
    found = breaks(tree, contents, root)
    if arguments.json:
        print(json.dumps({"path": tree.path, "verified": not found, "breaks": found}, indent=2))
    else:
        checked = sum(1 for _ in tree.walk())
        summary = f"{tree.path}: {checked} artifacts, their code and parameters are what they were"
        print("\n".join(found) if found else summary)
    return 1 if found else 0


def _diff(arguments: argparse.Namespace, root: Path, contents: Contents, runs: Runs) -> int:
    old, new = (revision_lock(root, revision) for revision in arguments.diff)
    paths = [relative(arguments.path, root)] if arguments.path else _policies(new)
    result = {
        path: differences(lineage(path, old, contents, runs), lineage(path, new, contents, runs), contents)
        for path in paths
    }
    if arguments.json:
        print(json.dumps(result, indent=2))
        return 0
    for path, lines in result.items():
        print("\n".join([path, *(f"  {line}" for line in lines or ["no difference"])]))
    return 0


def _policies(lock: Lock) -> list[str]:
    outputs = (out.path for stage in lock.stages.values() for out in stage.outputs)
    return sorted(path for path in outputs if path.startswith("artifacts/policies/"))


if __name__ == "__main__":
    main()
