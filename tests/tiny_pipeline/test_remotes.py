"""A remote of DVC: what one clone has run, another has, runs nothing of it again, audits it and serves it."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml
from moto.server import ThreadedMotoServer
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.tiny_pipeline.test_audit import audit
from tests.tiny_pipeline.test_experiments import GIT, ok
from tests.tiny_project import edit_params

pytestmark = pytest.mark.slow(beside="tests/test_versioning.py::test_a_clone_pulls_them_and_has_nothing_to_do")
KEYS = {"access_key_id": "ann", "secret_access_key": "a secret of ann's"}
PARAMETER, BEFORE, TRIED = "optimize.hybrid.kl_coef", 0.35, 0.5
# of what the parameter decides; the report behind it would be written again, since two of its files lie in git alone
EVALUATION = "evaluate_policy@hybrid-0"
LINEAGES = ("artifacts/policies/dpo/seed-0", "artifacts/policies/hybrid/seed-0")


def ran(told: str) -> set[str]:
    """The stages that `dvc repro` did not find anywhere."""
    return set(re.findall(r"^Running stage '(.+)':$", told, re.MULTILINE))


def evaluated(lock: str) -> dict[str, Any]:
    """The evaluation in a dvc.lock: what it read, wrote and was told."""
    return dict(yaml.safe_load(lock)["stages"][EVALUATION])


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server with a bucket `films`."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    urlopen(Request(f"{address}/films", method="PUT")).close()
    yield address
    server.stop()


@pytest.fixture(scope="module")
def first(project: Path, s3: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two remotes, where a second value of a parameter was tried, committed and taken back."""
    root = tmp_path_factory.mktemp("first") / "project"
    shutil.copytree(project, root, symlinks=True)
    # before the first commit: `dvc push --all-commits` looks in each commit for the remotes that it names
    ok(root, "dvc", "remote", "add", "folder", str(root.with_name("store")))
    ok(root, "dvc", "remote", "add", "s3", "s3://films/project")
    ok(root, "dvc", "remote", "modify", "s3", "endpointurl", s3)
    for option, value in KEYS.items():
        ok(root, "dvc", "remote", "modify", "--local", "s3", option, value)
    ok(root, *GIT, "add", "-A")
    ok(root, *GIT, "commit", "-q", "-m", "first")
    edit_params(root, {PARAMETER: TRIED})
    assert EVALUATION in ran(ok(root, "dvc", "repro", EVALUATION))
    ok(root, *GIT, "commit", "-q", "-a", "-m", "tried")
    ok(root, "git", "tag", "tried")
    ok(root, *GIT, "revert", "--no-edit", "HEAD")
    return root


@pytest.fixture(scope="module", params=["folder", "s3"])
def clone(request: pytest.FixtureRequest, first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a colleague has after `git clone` and `dvc pull`; the credentials come by another way than git."""
    ok(first, "dvc", "remote", "default", "--local", request.param)
    ok(first, "dvc", "push", "--run-cache", "--all-commits")
    root = tmp_path_factory.mktemp("second") / "project"
    ok(first, "git", "clone", "-q", str(first), str(root))
    assert not (root / ".dvc/config.local").exists() and not (root / "artifacts").exists()
    shutil.copy(first / ".dvc/config.local", root / ".dvc")
    ok(root, "dvc", "pull", "--run-cache")
    # where DVC keeps no whole models of a release, they are merged again from what it does keep
    assert ran(ok(root, "dvc", "repro")) <= {"publish_models"}
    return root


def test_a_clone_that_pulled_has_nothing_to_run_and_can_audit_and_serve(project: Path, clone: Path) -> None:
    assert "up to date" in ok(clone, "dvc", "status") and not ok(clone, "git", "status", "--short")

    for lineage in LINEAGES:
        verified = audit(clone, "--verify", lineage)
        assert verified.returncode == 0, verified.stdout
    assert f"{PARAMETER} = {BEFORE}" in audit(clone, LINEAGES[1]).stdout

    released = clone / "artifacts/release/dpo"
    weights = "model.safetensors"
    assert (released / weights).read_bytes() == (project / "artifacts/release/dpo" / weights).read_bytes()
    prompt = AutoTokenizer.from_pretrained(released)("the film", return_tensors="pt").input_ids
    assert AutoModelForCausalLM.from_pretrained(released).generate(prompt).shape[1] > prompt.shape[1]


def test_a_clone_trains_nothing_that_others_have_trained(clone: Path) -> None:
    # there and back; a clone that was there once has what it needs
    for value, commit, options in ((TRIED, "tried", ["--pull"]), (BEFORE, "HEAD", [])):
        edit_params(clone, {PARAMETER: value})
        told = ok(clone, "dvc", "repro", *options, EVALUATION)
        assert f"Stage '{EVALUATION}' is cached" in told and not ran(told), told
        assert evaluated((clone / "dvc.lock").read_text()) == evaluated(ok(clone, "git", "show", f"{commit}:dvc.lock"))
    assert not ok(clone, "git", "status", "--short")
