"""The home of a project: the folder in which a stage runs, or the one of which DVC made a copy for an experiment.

`dvc exp run --temp` and queued experiments run in `.dvc/tmp/exps/...`, a folder that DVC removes afterwards; DVC_ROOT
names the project. Data and outputs are in the copy. What must outlive it is in the home: runs, journals, replies of
chat judges, the states of killed stages.
"""

import os
from pathlib import Path


def project_home(root: Path) -> Path:
    """The absolute path of the home: `root` itself, unless it is a copy that DVC made for an experiment."""
    root = root.resolve()
    named = os.environ.get("DVC_ROOT")
    # a DVC_ROOT that a shell or another pipeline left behind names a project of which this folder is no copy
    if named and root.is_relative_to(Path(named).resolve() / ".dvc" / "tmp"):
        return Path(named).resolve()
    return root
