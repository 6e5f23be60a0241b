"""The raw rows of a lineage, as the sources have them: by file and row, or by a text in them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.errors import PipelineError
from pipeline.lineage.contents import Contents
from pipeline.lineage.needle import Needle
from pipeline.params.loading import load_params, parse_params
from pipeline.project.lockfile import Lock, revision_file


class RawSources:
    """The sources that prepare_data reads, opened when a row is asked for."""

    def __init__(self, root: Path, lock: Lock, contents: Contents, *, revision: str | None = None) -> None:
        self._root = root
        self._revision = revision
        self._rows: dict[str, Any] | None = None
        self.missing: str | None = None
        """Why rows are not to be had, or may be others than those of the run."""
        stage = lock.stages.get("prepare_data")
        here = Contents(root)
        if stage is not None and any(
            here.current_hash(dep.path) != dep.md5 for dep in stage.inputs if dep.path == "data/raw"
        ):
            self.missing = "data/raw has changed since prepare_data ran: its rows are shown as they are now"

    def row(self, source: str, number: int) -> Any:
        """A row by its number from 1, None where it cannot be had."""
        rows = self._sources().get(source)
        return rows[number - 1] if rows is not None and 0 < number <= len(rows) else None

    def containing(self, text: str) -> Iterator[tuple[str, int, str]]:
        """Source, number and text of every row that has the text in it, whatever its case and white space."""
        needle = Needle(text)
        for source, rows in self._sources().items():
            for number, row in enumerate(rows, start=1):
                shown = row_text(row)
                if needle.is_in(shown):
                    yield source, number, shown

    def _sources(self) -> Mapping[str, Any]:
        if self._rows is None:
            self._rows = {}
            try:
                self._rows = self._open()
            except PipelineError as error:
                self.missing = f"raw rows cannot be read: {error}"
        return self._rows

    def _open(self) -> dict[str, Any]:
        from pipeline.reading.sources import load_sources  # takes seconds to import

        if self._revision is None:
            data = load_params(self._root / "params.yaml").data
        else:
            text = revision_file(self._root, self._revision, "params.yaml") or b"{}"
            data = parse_params(YAML(typ="safe").load(text.decode()), source=f"params.yaml at {self._revision}").data
        named = [data.source] if isinstance(data.source, str) else [source.name for source in data.source]
        if hub := [name for name in named if name.startswith("hub:")]:
            raise PipelineError(f"{', '.join(hub)} is on a hub, which an audit does not ask")
        # prepare_data has given the warnings
        return {source.name: source.rows for source in load_sources(data, warn=lambda _: None)}


def row_text(row: Any) -> str:
    """All texts and numbers of a row, however deep, one behind the other."""
    if isinstance(row, Mapping):
        return " | ".join(filter(None, map(row_text, row.values())))
    if isinstance(row, list | tuple):
        return " | ".join(filter(None, map(row_text, row)))
    return "" if row is None or isinstance(row, bool) else str(row)
