"""The tree of a checkpoint ends at the files of raw data, not at their folder."""

from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.lineage.contents import Contents
from pipeline.lineage.tree import lineage, relative
from pipeline.lineage.tree_text import render
from pipeline.project.defaults import Defaults
from pipeline.project.hashing import content_hash
from pipeline.project.lockfile import Lock
from tests.lineage.conftest import RAW, Project

TARGET = "artifacts/training/dpo/seed-0"


def text(rlhf: Project, *, full: bool = False) -> str:
    tree = lineage(TARGET, rlhf.lock(), Contents(rlhf.root), None)
    return render(tree, Defaults("none"), unused={}, full=full)


def test_files_of_a_folder_of_raw_data_are_listed_with_their_hashes(rlhf: Project) -> None:
    assert f"{RAW}  {content_hash(rlhf.root / RAW)[:12]}\n" in text(rlhf)


def test_many_files_are_cut_unless_all_are_asked_for(rlhf: Project) -> None:
    for number in range(12):
        rlhf.write(f"data/raw/more-{number:02}.jsonl", f"{number}\n")
    rlhf.stage("prepare_data", ["data/raw"], ["artifacts/data"])
    short, full = text(rlhf), text(rlhf, full=True)
    assert "more-08" in short and "more-09" not in short and "and 3 more files (--full shows them)" in short
    assert "more-11" in full and "more files" not in full


def test_a_folder_that_has_changed_since_shows_no_files_of_now(rlhf: Project) -> None:
    rlhf.write("data/raw/new.jsonl", "{}\n")
    assert "new.jsonl" not in text(rlhf) and f"{RAW}  " not in text(rlhf)
    assert "its files are not listed: the folder has changed since" in text(rlhf)


def test_a_folder_of_outputs_leads_on_to_the_stages_that_wrote_them(rlhf: Project) -> None:
    tree = lineage("artifacts/training/hybrid/seed-0", rlhf.lock(), Contents(rlhf.root), None)
    shown = render(tree, Defaults("none"), unused={})
    assert "artifacts/inputs/hybrid  " in shown and "[folder of outputs]" in shown
    assert "<- find_regressions@0" in shown and "<- optimize_policy@dpo-0" in shown


def test_each_version_of_a_path_is_walked_once(rlhf: Project) -> None:
    tree = lineage("artifacts/training/hybrid/seed-0", rlhf.lock(), rlhf.contents(), None)
    walked = [(node.path, node.md5) for node in tree.walk()]
    assert walked[0][0] == "artifacts/training/hybrid/seed-0" and len(walked) == len(set(walked))
    assert {"artifacts/sft", "data/raw", TARGET} <= {path for path, _ in walked}
    assert "artifacts/reward_model" not in {path for path, _ in walked}, "nothing here was made of it"


def test_a_node_knows_the_rows_of_its_version(rlhf: Project) -> None:
    lock = rlhf.lock()
    (pairs,) = [node for node in lineage(TARGET, lock, rlhf.contents(), None).walk() if node.path.endswith("raw.jsonl")]
    assert pairs.rows == 3 and lineage(TARGET, lock, rlhf.contents(), None).rows is None


def test_an_output_of_a_stage_that_is_no_more_names_the_stage(rlhf: Project) -> None:
    rlhf.lock()
    names = set(rlhf.entries) - {"train_reward"}
    lock = Lock((rlhf.root / "dvc.lock").read_text(), label="dvc.lock", names=names)
    with pytest.raises(PipelineError, match=r"it was written by stage train_reward, which dvc\.yaml no longer has"):
        lineage("artifacts/reward_model", lock, rlhf.contents(), None)


def test_programs_get_the_whole_tree(rlhf: Project) -> None:
    found = lineage(TARGET, rlhf.lock(), rlhf.contents(), None).as_dict()
    assert found["stage"]["name"] == "optimize_policy@dpo-0" and found["runs"] == []
    assert [node["path"] for node in found["inputs"]] == ["artifacts/sft", "artifacts/inputs/dpo"]


def test_paths_are_written_as_in_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert relative("artifacts/sft/", tmp_path) == relative(f"{tmp_path}/artifacts/sft", tmp_path) == "artifacts/sft"
    assert relative("/elsewhere/a/", tmp_path) == "/elsewhere/a"
