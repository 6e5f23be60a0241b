"""The tree of a checkpoint ends at the files of raw data, not at their folder."""

from pipeline.lineage.contents import Contents
from pipeline.lineage.tree import lineage
from pipeline.lineage.tree_text import render
from pipeline.project.defaults import Defaults
from pipeline.project.hashing import content_hash
from tests.lineage.conftest import RAW, Project

TARGET = "artifacts/policies/dpo/seed-0"


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
    tree = lineage("artifacts/policies/hybrid/seed-0", rlhf.lock(), Contents(rlhf.root), None)
    shown = render(tree, Defaults("none"), unused={})
    assert "artifacts/inputs/hybrid  " in shown and "[folder of outputs]" in shown
    assert "<- find_regressions@0" in shown and "<- optimize_policy@dpo-0" in shown
