"""The project that a stage works for: its own folder, or the one of which DVC made a copy for an experiment.

`dvc exp run --temp` and queued experiments run in `.dvc/tmp/exps/...`, a folder that DVC removes afterwards, and name
the project in DVC_ROOT. Data and outputs lie in the copy; what must outlive it (runs, journals, paid verdicts, the
states of killed stages) lies in the project.
"""

import os
from pathlib import Path


def project_home(root: Path) -> Path:
    """The project's folder, absolute; `root` itself unless DVC made it for an experiment of another folder."""
    root = root.resolve()
    named = os.environ.get("DVC_ROOT")
    # a DVC_ROOT that a shell or another pipeline left behind names a project that this folder is not a copy of
    if named and root.is_relative_to(Path(named).resolve() / ".dvc" / "tmp"):
        return Path(named).resolve()
    return root
