"""A dvc.lock that DVC was killed in the middle of is put right, whatever is left of it."""

from pathlib import Path

import pytest
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import parse_yaml
from voluptuous import Invalid

from pipeline.project.lock_copy import keep_lock, mend_lock

LOCK = """schema: '2.0'
stages:
  prepare:
    cmd: python -m pipeline.launch prepare
    deps:
    - path: data/raw
      hash: md5
      md5: 0c0f4a1a2d3b4c5d6e7f8a9b0c1d2e3f.dir
      size: 120
      nfiles: 2
    params:
      params.yaml:
        seed: 1
    outs:
    - path: artifacts/data
      hash: md5
      md5: 1c0f4a1a2d3b4c5d6e7f8a9b0c1d2e3f
      size: 7
  train@dpo-0:
    cmd: python -m pipeline.launch train
    outs:
    - path: artifacts/sft
      hash: md5
      md5: 2c0f4a1a2d3b4c5d6e7f8a9b0c1d2e3f
      size: 9
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_STAGE", "train@dpo-0")
    (tmp_path / "dvc.lock").write_text(LOCK)
    keep_lock(tmp_path)
    return tmp_path


def dvc_reads(text: str) -> bool:
    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(text, "dvc.lock"))
    except (Invalid, Exception):
        return False
    return True


def test_wherever_it_was_cut_off_dvc_reads_what_is_there_afterwards(root: Path) -> None:
    lock = root / "dvc.lock"
    assert dvc_reads(LOCK)
    broken = 0
    for end in range(len(LOCK)):
        lock.write_text(LOCK[:end])
        refused = not dvc_reads(LOCK[:end])
        done = mend_lock(root)
        assert dvc_reads(lock.read_text()), LOCK[:end]
        if refused:
            broken += 1
            assert done is not None and "The copy from before is back" in done
            assert lock.read_text() == LOCK and (root / "dvc.lock.broken").read_text() == LOCK[:end]
    assert broken > 100


def test_a_lock_that_is_whole_stays(root: Path) -> None:
    shorter = LOCK[: LOCK.index("  train@")]
    (root / "dvc.lock").write_text(shorter)
    assert mend_lock(root) is None and (root / "dvc.lock").read_text() == shorter


def test_without_a_copy_the_way_out_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / ".state/dvc.lock").unlink()
    monkeypatch.delenv("DVC_STAGE")
    keep_lock(root)  # not started by DVC: what lies there need not be whole
    (root / "dvc.lock").write_text("")
    assert "git checkout dvc.lock" in (mend_lock(root) or "") and (root / "dvc.lock").read_text() == ""
    (root / "dvc.lock").unlink()
    assert mend_lock(root) is None
