"""Raw rows from an installed package, files or a hub data set, all through `datasets`."""

import glob
from pathlib import Path

from datasets import Dataset, disable_progress_bars, load_dataset
from datasets.exceptions import DatasetsError

from pipeline.errors import PipelineError
from pipeline.packages import package_folder
from pipeline.params.schema import Data

_READERS = {".json": "json", ".jsonl": "json", ".csv": "csv", ".parquet": "parquet", ".arrow": "arrow"}
_PACKED = (".gz", ".xz", ".bz2")
_KEY = "data.source"
WATCHED_FOLDER = Path("data/raw")


def load_rows(data: Data) -> Dataset:
    """All raw rows of `data.source`, memory-mapped, as they are.

    Raises:
        PipelineError: a missing package, file or hub data set, an unknown file type, or no rows.
    """
    rows = _load_hub(data) if data.source.startswith("hub:") else _load_files(_files(data.source))
    if len(rows) == 0:
        raise PipelineError(f"{_KEY}: {data.source} has no rows.")
    return rows


def _files(source: str) -> list[Path]:
    if source.startswith("package:"):
        package, _, inside = source.removeprefix("package:").partition("/")
        folder = package_folder(package, key=_KEY)
        path = folder / inside
        if not path.resolve().is_relative_to(folder.resolve()):
            raise PipelineError(f"{_KEY}: {inside!r} leads out of package {package!r}. Name a file inside it.")
        if not path.is_file():
            raise PipelineError(f"{_KEY}: package {package!r} has no file {inside!r}.")
        return [path]
    pattern = f"{source}/**/*" if Path(source).is_dir() else source
    matches = glob.glob(pattern, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
    found = sorted(Path(name) for name in matches if Path(name).is_file())
    if pattern != source:  # of a folder what can be read, not its README
        found = [path for path in found if _kind(path) in _READERS]
    if not found:
        raise PipelineError(
            f"{_KEY}: no file matches {source!r}. Correct the path; data/raw is the place for own files."
        )
    if not all(path.resolve().is_relative_to(WATCHED_FOLDER.resolve()) for path in found):
        print(
            f"warning: {source} is outside {WATCHED_FOLDER}/, so DVC cannot see when it changes; "
            "copy it there, or run `dvc repro -f prepare_data` after each change.",
            flush=True,
        )
    return found


def _kind(path: Path) -> str:
    """The suffix that says how a file is written, without that of its compression."""
    return (path.with_suffix("") if path.suffix.lower() in _PACKED else path).suffix.lower()


def _load_files(files: list[Path]) -> Dataset:
    kinds = {_kind(path) for path in files}
    unknown = kinds - set(_READERS)
    if unknown:
        raise PipelineError(f"{_KEY}: cannot read {', '.join(sorted(unknown))} files; use {', '.join(_READERS)}.")
    if len({_READERS[kind] for kind in kinds}) > 1:
        raise PipelineError(f"{_KEY}: files of different types ({', '.join(sorted(kinds))}) cannot be one source.")
    empty = [str(path) for path in files if path.stat().st_size == 0]
    if empty:
        raise PipelineError(f"{_KEY}: {', '.join(empty)} is empty.")
    disable_progress_bars()
    names = [str(path) for path in files]
    try:
        return load_dataset(_READERS[kinds.pop()], data_files=names, split="train")
    except (DatasetsError, ValueError, OSError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        if "corresponds to no data" in reason:
            raise PipelineError(f"{_KEY}: {', '.join(names)} has no rows.") from error
        raise PipelineError(f"{_KEY}: cannot read {', '.join(names)}: {reason}") from error


def _load_hub(data: Data) -> Dataset:
    name = data.source.removeprefix("hub:")
    try:
        return load_dataset(name, revision=data.revision, split=data.split)
    except (DatasetsError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise PipelineError(
            f"{_KEY}: cannot load split {data.split!r} of hub data set {name!r}: {reason} "
            "Check the id, the split and the network."
        ) from error
