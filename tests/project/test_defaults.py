"""What parameters are compared with."""

import os
import subprocess
from pathlib import Path

from pipeline.project.defaults import committed_defaults


def test_parameters_are_compared_with_those_that_were_committed_upstream(tmp_path: Path) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}

    def git(folder: Path, *arguments: str) -> None:
        names = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True, env=environment)

    upstream, clone = tmp_path / "upstream", tmp_path / "clone"
    upstream.mkdir()
    (upstream / "params.yaml").write_text("dpo: {beta: 0.1, epochs: 1}\n")
    assert committed_defaults(upstream).changed({"dpo.beta": 0.2}) == {}
    git(upstream, "init", "-q")
    git(upstream, "add", ".")
    git(upstream, "commit", "-qm", "defaults")
    git(tmp_path, "clone", "-q", str(upstream), str(clone))
    (clone / "params.yaml").write_text("dpo: {beta: 0.2, epochs: 1}\n")
    git(clone, "commit", "-qam", "a variant")
    ran = {"dpo.beta": 0.2, "dpo.epochs": 1, "dpo.loss": "ipo"}
    assert committed_defaults(clone).changed(ran) == {"dpo.beta": "0.2 (default 0.1)", "dpo.loss": "'ipo' (no default)"}
    assert committed_defaults(upstream).changed(ran)["dpo.beta"] == "0.2 (default 0.1)"
