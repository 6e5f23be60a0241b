"""Free DVC's cache of what nothing needs any more.

    python -m pipeline.gc            says what would be removed, in files and bytes
    python -m pipeline.gc --force    removes it

Kept is what branches, tags, experiments and the working folder need, and what versions with an alias in MLflow, such as
the champion, were made from. Remotes are left alone.
"""

import argparse
import sys
from pathlib import Path

from pipeline.environment import set_environment
from pipeline.errors import PipelineError
from pipeline.gc.needed import Needed, needed_by_aliases, needed_by_git
from pipeline.gc.removal import Unneeded, collect
from pipeline.project.graph import cache_folder
from pipeline.project.home import project_home
from pipeline.tracking.journal import FOLDER, hold
from pipeline.tracking.project_store import project_store


def main() -> None:
    """Say what would be removed; with `--force`, remove it."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.gc", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--force", action="store_true", help="remove what is not needed")
    arguments = parser.parse_args()
    set_environment()
    root = Path.cwd()
    try:
        cache = cache_folder(root)
        if arguments.force:
            _require_idle(root)
            _require_own(cache, root)
        needed = [*needed_by_git(root), *needed_by_aliases(project_store(root), cache)]
        print("kept is what these need:\n" + "\n".join(f"  {one.by}" for one in needed), flush=True)
        size = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
        unneeded = collect(root, cache, _union(needed), dry=not arguments.force)
        print(_told(unneeded, cache, size, removed=arguments.force))
    except PipelineError as error:
        sys.exit(f"error: {error}")


def _union(needed: list[Needed]) -> frozenset[str]:
    return frozenset().union(*(one.hashes for one in needed))


def _require_own(cache: Path, root: Path) -> None:
    """Refuse a cache outside this project: other clones may share it, and their needs are not known here."""
    if not cache.resolve().is_relative_to(project_home(root).resolve() / ".dvc"):
        raise PipelineError(
            f"{cache} lies outside this project, so other clones may need what it has, and nothing was removed. "
            "`dvc gc --projects` takes the folders of all that use it; it knows nothing of MLflow's champion."
        )


def _require_idle(root: Path) -> None:
    """Refuse while a stage or an experiment runs: nothing names its outputs in the cache before it ends."""
    home = project_home(root)
    for journal in (home / FOLDER).glob("*.jsonl"):
        with hold(journal, alone=True) as ours:
            if not ours and journal.exists():
                raise PipelineError(f"a stage still runs ({journal.stem}), so nothing was removed: wait for its end")
    apart = home / ".dvc/tmp/exps"
    if folders := sorted([*apart.glob("tmp*"), *apart.glob("standalone/tmp*")]):
        raise PipelineError(
            f"an experiment runs in {folders[0]}, or was killed there, so nothing was removed. `dvc queue status` "
            "shows what runs; remove the folder of one that was killed."
        )


def _told(unneeded: Unneeded, cache: Path, size: int, *, removed: bool) -> str:
    if unneeded.files == 0:
        return f"nothing to free: all {_megabytes(size)} in {cache} are needed"
    freed = f"{unneeded.files} files, {_megabytes(unneeded.bytes)} of {_megabytes(size)} in {cache}"
    lines = [f"removed: {freed}" if removed else f"would be removed: {freed}"]
    if unneeded.shared_bytes:
        lines.append(f"  and {_megabytes(unneeded.shared_bytes)} that are linked to a working folder, until it lets go")
    if not removed:
        lines.append("nothing was removed yet; `make gc FORCE=1` does it")
    return "\n".join(lines)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


if __name__ == "__main__":
    main()
