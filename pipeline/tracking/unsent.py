"""Finds the run of another stage to which an event adds something, also where that run has not been sent yet.

The report, for example, makes the run of a policy the candidate. If the server was down during the evaluation, that run
is still in its journal; the event then waits, until `make sync` sends both journals in the order of their times.
"""

from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.tracking.journal import JournalReader
from pipeline.tracking.store import Store


def run_that_wrote(store: Store, journal: Path, path: str, md5: str) -> Any:
    """The newest run in the store that wrote an output with this content; None if there is no such run.

    Args:
        store: where runs are sent.
        journal: the journal with the event; other journals are in its folder.
        path: the path of the output.
        md5: the content hash of the output.

    Raises:
        PipelineError: such a run is in a journal that has not been sent completely.
    """
    for other in sorted(journal.parent.glob("*.jsonl")):
        # also if the store has a part of the run already
        if other != journal and _wrote(other, path, md5):
            raise PipelineError(f"the run {other.stem}, to which this one adds, has to be uploaded first: `make sync`")
    return store.run_that_wrote(path, md5)


def _wrote(journal: Path, path: str, md5: str) -> bool:
    try:
        reader = JournalReader(journal)
    except FileNotFoundError:  # it was sent just now
        return False
    try:
        return any(event.get("tags", {}).get(f"dvc.out/{path}") == md5 for event in reader.read())
    finally:
        reader.close()
