"""What prepare_data did with each raw row."""

import json
from collections.abc import Iterator

from pipeline.data.records import JsonObject
from pipeline.lineage.contents import Contents
from pipeline.project.lockfile import Artifact, Lock

FATES = "artifacts/data/fates.jsonl"


def read_fates(lock: Lock, contents: Contents) -> Iterator[JsonObject]:
    """Source, row, id (None for a row without a text) and fate of every raw row; none if the file cannot be found."""
    written = lock.producer(FATES)
    files = contents.files(Artifact(written[1].path, written[1].md5)) if written is not None else None
    for line in (contents.lines(FATES, files[FATES]) if files and FATES in files else None) or ():
        yield json.loads(line)
