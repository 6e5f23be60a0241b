"""Runs that the store does not have yet, and that the journal of a later stage says something of.

The report tells the run of a policy that it is the candidate. Where the server was down during the evaluation, the run
is still in its journal: what it is told waits, too, until `make sync` sends both in the order of their times.
"""

from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.tracking.journal import JournalReader
from pipeline.tracking.store import Store


def run_that_wrote(store: Store, journal: Path, path: str, md5: str) -> Any:
    """The newest run in the store that wrote an output with this content, None where nobody has one.

    Args:
        store: where runs are sent.
        journal: the one that asks; others lie beside it.
        path: of the output.
        md5: its content hash.

    Raises:
        PipelineError: such a run is in a journal that is not sent to its end yet.
    """
    for other in sorted(journal.parent.glob("*.jsonl")):
        # also where the store has the beginning of its run
        if other != journal and _wrote(other, path, md5):
            raise PipelineError(f"{other.stem}, of which it says something, has to be uploaded first")
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
