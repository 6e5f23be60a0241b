"""Raw rows from an installed package, files or a hub data set."""

import glob
import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset

from pipeline.errors import PipelineError
from pipeline.packages import package_folder
from pipeline.params.data import Data, MixedSource
from pipeline.reading.arrow_rows import load_arrow_rows
from pipeline.reading.hub_rows import load_hub_rows
from pipeline.reading.json_rows import load_json_rows
from pipeline.reading.rows import Rows, SpanRows
from pipeline.reading.table_rows import load_table_rows
from pipeline.reading.unpacking import PACKED, unpacked_suffix

_READERS = {
    ".json": "json",
    ".jsonl": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "arrow",
    ".arrow": "arrow",
}
_DOCUMENTS = (".md", ".dvc")
"""Files that lie beside data and are not data."""
_NAMED = 5
_KEY = "data.source"
WATCHED_FOLDER = Path("data/raw")


@dataclass(frozen=True)
class Source:
    """One file or data set."""

    name: str
    """The name by which the user refers to it."""
    rows: Rows
    """The rows as they are in the file."""
    share: float
    """Share of its prompts that is used, (0, 1]."""
    unnamed: bool = False
    """A table without a header line; its columns are `column_1`, `column_2`, ..."""
    path: Path | None = None
    """The file; None of a hub data set."""


Warn = Callable[[str], None]


def print_warning(message: str) -> None:
    """Print a warning, which does not stop a run."""
    print(f"warning: {message}", flush=True)


def load_sources(data: Data, *, warn: Warn = print_warning) -> list[Source]:
    """Every file or data set that `data.source` names, in the order of their names.

    Args:
        data: of the parameters.
        warn: gets what was found and does not stop a run, a sentence each.

    Raises:
        PipelineError: a missing package, file or hub data set, an unknown file type, or no rows.
    """
    mixed = [MixedSource(name=data.source, share=1.0)] if isinstance(data.source, str) else data.source
    found: list[Source] = []
    limit = int(data.max_row_megabytes * 2**20)
    for source in mixed:
        if source.name.startswith("hub:"):
            found.append(Source(source.name, _load_hub(source.name, data), source.share))
        else:
            files = _files(source.name, warn)
            _allow_open_files(len(files))
            found += [_load_file(path, source.share, limit, data.split) for path in files]
    names = [source.name for source in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PipelineError(f"{_KEY}: {', '.join(twice)} is named twice. Name each file once.")
    if empty := [one.name for one in found if len(one.rows) == 0]:
        raise PipelineError(f"{_KEY}: {', '.join(empty)} has no rows.")
    for source_name, rows in ((source.name, source.rows) for source in found):
        for note in rows.notes if isinstance(rows, SpanRows) else ():
            warn(f"{source_name}: {note}")
    return found


def _allow_open_files(count: int) -> None:
    """Raise this process's limit of open files by this many: each file stays open, and folders may hold thousands."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        wanted = soft + count
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )


def _files(source: str, warn: Warn) -> list[Path]:
    if source.startswith("package:"):
        return [_package_file(source)]
    pattern = f"{source}/**/*" if Path(source).is_dir() else source
    matches = glob.glob(pattern, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
    # what `dvc add` writes beside a file is no data
    found = sorted(Path(name) for name in matches if Path(name).is_file() and not name.endswith(".dvc"))
    if pattern != source:
        found = _readable(source, found, warn)
    if not found:
        raise PipelineError(
            f"{_KEY}: no file matches {source!r}. Correct the path; data/raw is the place for own files."
        )
    if not all(path.resolve().is_relative_to(WATCHED_FOLDER.resolve()) for path in found):
        warn(
            f"{source} is outside {WATCHED_FOLDER}/, so DVC cannot see when it changes; copy it there, or run "
            "`dvc repro -f prepare_data` after each change."
        )
    _check(found)
    return found


def _package_file(source: str) -> Path:
    package, _, inside = source.removeprefix("package:").partition("/")
    folder = package_folder(package, key=_KEY)
    path = folder / inside
    if not path.resolve().is_relative_to(folder.resolve()):
        raise PipelineError(f"{_KEY}: {inside!r} leads out of package {package!r}. Name a file inside it.")
    if not path.is_file():
        raise PipelineError(f"{_KEY}: package {package!r} has no file {inside!r}.")
    return path


def _readable(folder: str, files: Sequence[Path], warn: Warn) -> list[Path]:
    """The files of a folder that can be read; others, except documents such as its README, are named in a warning."""
    left = [
        path.name for path in files if unpacked_suffix(path) not in _READERS and path.suffix.lower() not in _DOCUMENTS
    ]
    if left:
        shown = ", ".join(left[:_NAMED]) + (f" and {len(left) - _NAMED:,} more" if len(left) > _NAMED else "")
        warn(f"of {folder} nothing is read of {shown}: {_how_to_name()}")
    return [path for path in files if unpacked_suffix(path) in _READERS]


def _how_to_name() -> str:
    return (
        f"names of data end with {', '.join(_READERS)}, of texts among them also with {', '.join(PACKED)} behind it. "
        "Other archives have to be unpacked first."
    )


def _check(files: Sequence[Path]) -> None:
    if unknown := [path for path in files if unpacked_suffix(path) not in _READERS]:
        raise PipelineError(f"{_KEY}: cannot read {unknown[0]}: {_how_to_name()}")
    if packed := [
        path for path in files if path.suffix.lower() in PACKED and _READERS[unpacked_suffix(path)] == "arrow"
    ]:
        raise PipelineError(f"{_KEY}: cannot read {packed[0]}: a table of this kind is packed inside. Unpack it first.")
    empty = [str(path) for path in files if path.stat().st_size == 0]
    if empty:
        raise PipelineError(f"{_KEY}: {', '.join(empty)} is empty.")


def _load_file(path: Path, share: float, limit: int, split: str) -> Source:
    kind = _READERS[unpacked_suffix(path)]
    rows: Rows
    unnamed = False
    try:
        if kind == "json":
            rows = load_json_rows(path, limit=limit, split=split)
        elif kind == "csv":
            rows, unnamed = load_table_rows(path, limit=limit)
        else:
            rows = load_arrow_rows(path, limit=limit)
    except (ValueError, OSError) as error:
        raise PipelineError(f"{_KEY}: cannot read {path}: {error}") from error
    return Source(_name(path), rows, share, unnamed, path)


def load_rows(path: Path, *, limit: int, split: str) -> Rows:
    """The rows of one file, as `load_sources` numbers them.

    Args:
        path: whose name says how it is written.
        limit: bytes of the largest row.
        split: the one that is read, of a file with several.

    Raises:
        PipelineError: it cannot be read.
    """
    _check([path])
    return _load_file(path, 1.0, limit, split).rows


def package_files(source: str | Sequence[Mapping[str, Any]]) -> dict[str, Path]:
    """Files in packages that a value of `data.source` names, by the names of their sources.

    Raises:
        PipelineError: a package or file is not installed.
    """
    named = [source] if isinstance(source, str) else [str(one["name"]) for one in source]
    found = [_package_file(name) for name in named if name.startswith("package:")]
    return {_name(path): path for path in found}


def _name(path: Path) -> str:
    """A path inside a package by the package, any other as it was given."""
    return path.parent.name + "/" + path.name if "site-packages" in path.parts else str(path)


def _load_hub(source: str, data: Data) -> Dataset:
    name = source.removeprefix("hub:")
    try:
        return load_hub_rows(name, split=data.split, revision=data.revision)
    except ValueError as error:
        raise PipelineError(f"{_KEY}: {error}") from error
