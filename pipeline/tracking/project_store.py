"""The MLflow store of a project, opened by one process at a time."""

from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.locks import wait_for_lock
from pipeline.project.home import project_home
from pipeline.tracking.store import Store
from pipeline.tracking.store import connect as store_at
from pipeline.tracking.store_address import masked, reason_of, store_uri


def connect(uri: str, lock_file: Path) -> Store:
    """The store at an address, which has answered; a SQLite store is created where there is none.

    Args:
        lock_file: held meanwhile. Two processes that create one SQLite store at once break each other's migration.

    Raises:
        Exception: anything from SQLAlchemy to requests, as by every call to MLflow.
    """
    with wait_for_lock(lock_file):
        return store_at(uri)


def project_store(root: Path) -> Store:
    """The store of the project in `root`.

    Raises:
        PipelineError: the store cannot be reached.
    """
    return reached(store_uri(root), project_home(root) / ".state" / "mlflow.lock")


def reached(uri: str, lock_file: Path) -> Store:
    """The store at an address, see `connect`.

    Raises:
        PipelineError: the store cannot be reached.
    """
    try:
        return connect(uri, lock_file)
    except Exception as error:  # MLflow raises anything from SQLAlchemy to requests
        raise PipelineError(
            masked(f"MLflow at {uri} cannot be reached: {reason_of(error)}")
            + " Start its server, or mend MLFLOW_TRACKING_URI or tracking.uri."
        ) from None
