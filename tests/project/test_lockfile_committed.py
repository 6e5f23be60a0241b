"""The dvc.lock in git is of the dvc.yaml beside it: its stages wrote what that declares, and nothing else."""

import re

from ruamel.yaml import YAML

from pipeline.project.lockfile import workspace_lock
from tests.conftest import ROOT


def test_the_committed_lock_has_the_outputs_of_the_graph() -> None:
    declared = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    for stage in workspace_lock(ROOT).stages.values():
        entry = declared[stage.name.partition("@")[0]]
        outs = [out if isinstance(out, str) else next(iter(out)) for out in entry.get("outs", [])]
        outs += [out if isinstance(out, str) else next(iter(out)) for out in entry.get("metrics", [])]
        outs += [out if isinstance(out, str) else next(iter(out)) for out in entry.get("plots", [])]
        patterns = [re.compile(re.sub(r"\\\$\\\{[^}]*\\\}", r"[^/]+", re.escape(out))) for out in outs]
        for out in stage.outputs:
            assert any(pattern.fullmatch(out.path) for pattern in patterns), f"{stage.name} wrote {out.path}"
