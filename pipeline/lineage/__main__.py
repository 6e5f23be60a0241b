"""Audit which data, parameters and code produced a checkpoint or report.

python -m pipeline.lineage audit artifacts/policies/dpo/seed-0           the tree down to the raw data
python -m pipeline.lineage audit --verify artifacts/policies/dpo/seed-0  is all of it still what it was, and consistent?
python -m pipeline.lineage audit --record ID               where a raw record, prompt, sample or pair went, and its text
python -m pipeline.lineage audit --find TEXT               raw rows, pairs and samples that say this
python -m pipeline.lineage audit --diff REV1 REV2 [PATH]   what differs between two versions

With --rev REV all but --diff are of a git revision: dvc.lock, dvc.yaml and params.yaml from git, contents from the
DVC cache.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from pipeline.environment import set_environment
from pipeline.errors import PipelineError
from pipeline.lineage.contents import Contents
from pipeline.lineage.diff import differences
from pipeline.lineage.parameters import read_parameters
from pipeline.lineage.raw import RawSources
from pipeline.lineage.record import trace_record, trace_records
from pipeline.lineage.record_text import describe, describe_findings
from pipeline.lineage.roles import check_names
from pipeline.lineage.runs import Runs, store_uri
from pipeline.lineage.search import find_text
from pipeline.lineage.source_files import SourceFiles
from pipeline.lineage.testimony import Testimony, testimony
from pipeline.lineage.tree import Node, lineage, relative
from pipeline.lineage.tree_text import render
from pipeline.lineage.unused import unused_columns
from pipeline.lineage.verify import breaks, cache_breaks, stages_behind
from pipeline.project.defaults import committed_defaults, lock_date
from pipeline.project.graph import cached_outputs
from pipeline.project.home import project_home
from pipeline.project.lockfile import Lock, revision_lock, workspace_lock
from pipeline.tracking.journal import FOLDER as JOURNALS


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
    what.add_argument("--find", metavar="TEXT", help="search raw rows, pairs and samples, whatever the case")
    audit.add_argument("--rev", metavar="REV", help="of a git revision, not of the working folder")
    audit.add_argument("--cache", action="store_true", help="with --verify: recompute the hashes of DVC's cache, too")
    audit.add_argument("--runs", action="store_true", help="with --verify: fail where no MLflow run confirms a stage")
    audit.add_argument("--limit", metavar="N", type=int, default=10, help="hits that --find shows (default 10)")
    audit.add_argument("--full", action="store_true", help="every parameter and code file")
    audit.add_argument("--json", action="store_true", help="for programs: everything, nothing shortened")
    arguments = parser.parse_args()
    for name, wanted in (("record", "an id"), ("find", "a text")):
        if (given := getattr(arguments, name)) is not None and not given.strip():
            audit.error(f"--{name} needs {wanted}, and got nothing")
    if arguments.limit < 1:
        audit.error("--limit is 1 or more")
    if not (arguments.record or arguments.find or arguments.diff or arguments.path):
        audit.error("name a PATH, such as artifacts/policies/dpo/seed-0")
    if arguments.cache and not arguments.verify:
        audit.error("--cache goes with --verify")
    if arguments.runs and not arguments.verify:
        audit.error("--runs goes with --verify")
    set_environment()
    try:
        sys.exit(_audit(arguments, Path.cwd()))
    except PipelineError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:  # whoever reads it has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _audit(arguments: argparse.Namespace, root: Path) -> int:
    if arguments.diff:
        return _diff(arguments, root)
    contents = Contents(root, revision=arguments.rev)
    lock = revision_lock(root, arguments.rev) if arguments.rev else workspace_lock(root)
    check_names(lock.stages.values())
    if arguments.record or arguments.find:
        return _trace(arguments, lock, contents, RawSources(SourceFiles(lock, contents)))
    if arguments.verify:
        return _verify(arguments, root, lock, contents)
    runs = _runs(root)
    tree = lineage(relative(arguments.path, root), lock, contents, runs)
    _say_what_is_missing(runs)
    defaults, unused = committed_defaults(root), unused_columns(lock, contents)
    if arguments.json:
        print(json.dumps({**tree.as_dict(), "unused_columns": unused, "defaults": defaults.label}, indent=2))
    else:
        dated = lock_date(root, arguments.rev or "HEAD")
        print(render(tree, defaults, unused=unused, full=arguments.full, lock=dated))
    return 0


def _trace(arguments: argparse.Namespace, lock: Lock, contents: Contents, raw: RawSources) -> int:
    if arguments.record:
        trace = trace_record(arguments.record, lock, contents, raw)
        print(json.dumps(trace.as_dict(), indent=2) if arguments.json else describe(trace))
        return 0
    found, counts = find_text(arguments.find, lock, contents, raw, limit=arguments.limit)
    traces = trace_records(dict.fromkeys(hit.id for hit in found if hit.id), lock, contents, raw)
    if arguments.json:
        hits = [{**vars(hit), "trace": traces[hit.id].as_dict() if hit.id else None} for hit in found]
        print(json.dumps({"counts": counts, "hits": hits}, indent=2))
    else:
        print(describe_findings(found, counts, traces))
        for gap in raw.missing:
            print(f"not searched: {gap}", file=sys.stderr)
    return 0 if counts else 1


def _verify(arguments: argparse.Namespace, root: Path, lock: Lock, contents: Contents) -> int:
    tree = lineage(relative(arguments.path, root), lock, contents, runs=None)
    found = breaks(tree, lock, contents, root, revision=arguments.rev)
    # of a revision there is nothing but the cache to look at
    if arguments.cache or arguments.rev:
        found += cache_breaks(tree, cached_outputs(root, revision=arguments.rev), contents)
    said, asked = _testimony(tree, contents, root)
    silent = [f"{name}: {reason}" for name, reason in said.unconfirmed.items()]
    found += said.breaks + (silent if arguments.runs else [])
    if arguments.json:
        told = {"asked": asked, "confirmed": said.confirmed, "unconfirmed": said.unconfirmed}
        print(json.dumps({"path": tree.path, "verified": not found, "breaks": found, "runs": told}, indent=2))
        return 1 if found else 0
    if asked and silent and not arguments.runs:
        print("\n".join(silent), file=sys.stderr)
    checked, count = sum(1 for _ in tree.walk()), len(stages_behind(tree))
    fits = f"{tree.path}: {checked} artifacts, their code and parameters are what they were, and fit together"
    runs = f"{len(said.confirmed)} of {count} stages are as their runs in MLflow say" if asked else "no run was asked"
    print("\n".join(found) if found else f"{fits}; {runs}")
    return 1 if found else 0


def _testimony(tree: Node, contents: Contents, root: Path) -> tuple[Testimony, bool]:
    """What the runs of all stages say, and whether there was a store to ask."""
    runs, stages = _runs(root), stages_behind(tree)
    said = Testimony(unconfirmed={stage.name: "there is no store to ask" for stage in stages})
    if runs is not None and runs.missing is None:
        said = testimony(stages, runs, contents)
    _say_what_is_missing(runs)
    waiting = len(list((project_home(root) / JOURNALS).glob("*.jsonl")))
    if waiting:
        more = f"{waiting} run{'s' if waiting > 1 else ''} that MLflow does not have yet"
        print(f"MLflow: `make sync` sends {more}", file=sys.stderr)
    return said, runs is not None and runs.missing is None


def _runs(root: Path) -> Runs | None:
    """The store that params.yaml names, None where it names none: a lineage needs neither."""
    try:
        uri = store_uri(read_parameters(root, None).get("tracking.uri"), root)
        reason = "params.yaml names no store (tracking.uri)"
    except PipelineError as error:
        uri, reason = store_uri(None, root), str(error)
    if uri is None:
        print(f"MLflow: not asked, because {reason}", file=sys.stderr)
        return None
    return Runs(uri, root)


def _say_what_is_missing(runs: Runs | None) -> None:
    if runs is not None and runs.missing:
        print(f"MLflow: {runs.missing}", file=sys.stderr)


def _diff(arguments: argparse.Namespace, root: Path) -> int:
    contents, runs = Contents(root), _runs(root)
    old, new = (revision_lock(root, revision) for revision in arguments.diff)
    paths = [relative(arguments.path, root)] if arguments.path else _policies(new)
    result = {
        path: differences(lineage(path, old, contents, runs), lineage(path, new, contents, runs), contents)
        for path in paths
    }
    _say_what_is_missing(runs)
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
