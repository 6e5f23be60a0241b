"""Columns of the sources that nothing read, as prepare_data reports them."""

import json

from pipeline.lineage.contents import Contents
from pipeline.lineage.source_files import REPORT
from pipeline.project.lockfile import Lock


def unused_columns(lock: Lock, contents: Contents) -> dict[str, list[str]]:
    """Unused columns and fields by source; empty if there are none, or if the report cannot be found."""
    written = lock.producer(REPORT)
    file = contents.locate(REPORT, written[1].md5) if written is not None and written[1].path == REPORT else None
    if file is None:
        return {}
    sources = json.loads(file.read_text()).get("sources", [])
    unused = {source["file"]: _names(source) for source in sources}
    return {name: columns for name, columns in unused.items() if columns}


def _names(source: dict[str, object]) -> list[str]:
    """Names of columns and fields in every entry whose key begins with `unused`, be it a list or a mapping."""
    values = [value for key, value in source.items() if key.startswith("unused")]
    return [str(name) for value in values if isinstance(value, list | dict) for name in value]
