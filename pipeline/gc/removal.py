"""`dvc gc`, with further contents that it spares."""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ruamel.yaml import YAML

from pipeline.errors import PipelineError
from pipeline.project.hashing import cached_path

_FILE = re.compile(r"^Removing (.+)$", re.MULTILINE)
_COUNT = re.compile(r"^Removed (\d+) objects from .+ cache\.$", re.MULTILINE)
_REFS = ("--all-branches", "--all-tags", "--all-experiments")


@dataclass(frozen=True)
class Unneeded:
    """What `dvc gc` would remove."""

    files: int
    bytes: int
    """Bytes of the files that no working folder holds."""
    shared_bytes: int
    """Bytes of the files that a working folder holds by a hard link, which free nothing until that is gone, too."""


def collect(root: Path, cache: Path, keep: Iterable[str], *, dry: bool) -> Unneeded:
    """Remove from DVC's cache what neither git, nor the working folder, nor `keep` needs; or only count it.

    Args:
        root: the folder of the project.
        cache: DVC's cache, by md5.
        keep: hashes of contents; with a folder, its files are kept. Hashes that are not in the cache do not matter.
        dry: remove nothing.

    Raises:
        PipelineError: `dvc gc` failed, or did not say what it would remove.
    """
    with _project_of(cache, keep) as other:
        git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, check=False)
        flags = ["--workspace", *(_REFS if git.returncode == 0 else ()), "--projects", str(other), "--force"]
        told = _dvc_gc(root, [*flags, "--dry"])
        found = [Path(name) for name in _FILE.findall(told)]
        if len(found) != sum(map(int, _COUNT.findall(told))):
            raise PipelineError(f"`dvc gc --dry` did not name what it would remove; nothing was removed:\n{told}")
        stats = [file.stat() for file in found]
        if not dry and found:
            _dvc_gc(root, flags)
    return Unneeded(
        files=len(found),
        bytes=sum(stat.st_size for stat in stats if stat.st_nlink == 1),
        shared_bytes=sum(stat.st_size for stat in stats if stat.st_nlink > 1),
    )


@contextmanager
def _project_of(cache: Path, keep: Iterable[str]) -> Iterator[Path]:
    """A DVC project elsewhere that uses these contents of the same cache, as `dvc gc --projects` takes it."""
    with TemporaryDirectory(prefix="dvc-gc-") as name:
        folder = Path(name)
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        (folder / ".dvc").mkdir()
        # the folder `files/md5` is DVC's own
        (folder / ".dvc/config").write_text(f"[cache]\n    dir = {cache.parent.parent}\n")
        there = sorted(md5 for md5 in set(keep) if cached_path(cache, md5).is_file())
        outs = [{"path": f"kept/{md5}", "hash": "md5", "md5": md5} for md5 in there]
        if outs:
            YAML(typ="safe").dump({"outs": outs}, folder / "kept.dvc")
        yield folder


def _dvc_gc(root: Path, flags: list[str]) -> str:
    command = [sys.executable, "-m", "dvc", "gc", *flags]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PipelineError(f"`dvc gc` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout + done.stderr
