"""What of the sources nothing read, as prepare_data reports it."""

import json

from pipeline.lineage.contents import Contents
from pipeline.lineage.source_files import REPORT
from pipeline.project.lockfile import Lock


def unused_columns(lock: Lock, contents: Contents) -> dict[str, list[str]]:
    """Columns and fields of each source that were not used; empty where the report is nowhere or names none."""
    found = lock.producer(REPORT)
    file = contents.locate(REPORT, found[1].md5) if found is not None and found[1].path == REPORT else None
    if file is None:
        return {}
    sources = json.loads(file.read_text()).get("sources", [])
    unused = {source["file"]: _names(source) for source in sources}
    return {name: columns for name, columns in unused.items() if columns}


def _names(source: dict[str, object]) -> list[str]:
    """Of every entry that begins with `unused`: columns, or fields in them, whichever way they are listed."""
    values = [value for key, value in source.items() if key.startswith("unused")]
    return [str(name) for value in values if isinstance(value, list | dict) for name in value]
