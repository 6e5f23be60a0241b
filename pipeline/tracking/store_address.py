"""The address of the MLflow store to which the runs of a project go, and how addresses and failures are shown."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.excerpts import shorten
from pipeline.params.loading import load_params
from pipeline.project.home import project_home

if TYPE_CHECKING:
    from pipeline.params.schema import Tracking


def store_uri(root: Path) -> str:
    """Where the runs of the project in `root` go: MLFLOW_TRACKING_URI, else `tracking.uri` of its params.yaml."""
    # params.yaml is read only where it decides: a stage hands the address of its store on in the environment
    named = os.environ.get("MLFLOW_TRACKING_URI")
    return absolute_store(named, root) if named else tracking_uri(load_params(root / "params.yaml").tracking, root)


def tracking_uri(tracking: "Tracking", root: Path) -> str:
    """Where runs go: MLFLOW_TRACKING_URI, else `tracking.uri`."""
    # always explicit: a leftover mlruns/ folder would flip MLflow's default store
    return absolute_store(os.environ.get("MLFLOW_TRACKING_URI") or tracking.uri, root)


def absolute_store(uri: str, root: Path) -> str:
    """The address of a store, with a relative SQLite path resolved against the home of the project in `root`."""
    prefix = "sqlite:///"
    relative = uri.removeprefix(prefix)
    if not uri.startswith(prefix) or relative.startswith("/"):
        return uri
    return f"{prefix}{(project_home(root) / relative).resolve()}"


def masked(text: str) -> str:
    """The text without user names, passwords and query values of the addresses in it."""
    return re.sub(r"(://[^\s?]*)\?\S+", r"\1?***", re.sub(r"://\S*@", "://***@", text))


def reason_of(error: Exception) -> str:
    """A failure in one line, without passwords."""
    # masked before it is shortened: an address that is cut in the middle would show its password
    return shorten(masked(" ".join(str(error).split()))) or type(error).__name__
