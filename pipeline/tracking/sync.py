"""Uploads to MLflow what is left of runs that have ended: `python -m pipeline.tracking.sync`, or `make sync`."""

import argparse
import sys
from pathlib import Path

from pipeline.environment import set_environment
from pipeline.errors import PipelineError
from pipeline.project.home import project_home
from pipeline.tracking.journal import FOLDER, hold
from pipeline.tracking.mirror import Mirror
from pipeline.tracking.project_store import reached
from pipeline.tracking.store_address import masked, reason_of, store_uri


def sync(root: Path, uri: str) -> int:
    """Upload what is left of runs that have ended; returns the exit code.

    Raises:
        PipelineError: the store cannot be reached.
    """
    folder = project_home(root) / FOLDER
    journals = sorted(folder.glob("*.jsonl"))
    if not journals:
        print("no run is left to upload")
        return 0
    reached(uri, folder.with_name("mlflow.lock"))
    outcomes = [_upload(journal, uri) for journal in journals]
    print(f"{outcomes.count('uploaded')} of {len(journals)} runs uploaded to {masked(uri)}")
    return 1 if "failed" in outcomes else 0


def _upload(journal: Path, uri: str) -> str:
    with hold(journal, alone=True) as ours:
        if not ours:
            print(f"{journal.stem}: its stage still runs, left alone")
            return "left"
        try:
            mirror = Mirror(journal, uri)
            mirror.read()
            mirror.send()
            status = mirror.close()
        except Exception as error:  # a run that the store refuses must not stop the upload of the others
            print(f"{journal.stem}: {reason_of(error)}", file=sys.stderr)
            return "failed"
        more = "" if status == mirror.status else f"; its run, which went on, is {status}"
        print(f"{journal.stem}: uploaded, {mirror.status}{more}")
        return "uploaded"


def main() -> None:
    """Upload what is left of the runs of this project."""
    argparse.ArgumentParser(prog="python -m pipeline.tracking.sync", description=__doc__).parse_args()
    set_environment()
    root = Path.cwd()
    try:
        sys.exit(sync(root, store_uri(root)))
    except PipelineError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
