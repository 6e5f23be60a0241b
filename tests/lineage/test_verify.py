"""What behind a path is not what it was in the run: artifacts, code, parameters, and what the cache has."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.lineage.tree import lineage
from pipeline.lineage.verify import breaks, cache_breaks, stages_behind
from tests.lineage.conftest import Project

TRAIN = "artifacts/preferences/accepted/train.jsonl"
DPO = "artifacts/policies/dpo/seed-0"
OTHERS = "data: {source: data/raw/a.jsonl}\njudge: {kind: classifier}\n"


def missing(file: Path) -> None:
    file.unlink()


def corrupt(file: Path) -> None:
    file.write_text("flipped")


@pytest.mark.parametrize(("change", "word"), [(missing, "missing"), (corrupt, "corrupt")])
@pytest.mark.parametrize("what", ["file", "listing", "entry"])
def test_a_cache_that_lost_something_is_named(
    rlhf: Project, change: Callable[[Path], None], word: str, what: str
) -> None:
    tree = lineage(DPO, rlhf.lock(), rlhf.contents(), None)
    cached = {out["path"] for entry in rlhf.entries.values() for out in entry["outs"]}
    assert cache_breaks(tree, cached, rlhf.contents()) == []
    accepted = rlhf.entries["validate_preferences"]["outs"][0]["md5"]
    md5, path = {
        "file": (rlhf.entries["collect_preferences"]["outs"][0]["md5"], "artifacts/preferences/raw.jsonl"),
        "listing": (accepted, "artifacts/preferences/accepted"),
        "entry": (rlhf.entries["train_reward"]["deps"][0]["md5"], TRAIN),
    }[what]
    change(rlhf.cached(md5))
    (line,) = cache_breaks(tree, cached, rlhf.contents())
    assert (line.startswith(f"cache: {path} ({md5[:12]})") and word in line and str(rlhf.cached(md5)) in line) or (
        word == "missing" and str(rlhf.cache) in line
    )
    assert cache_breaks(tree, set(), rlhf.contents()) == [], "outputs in git are in no cache"


@pytest.fixture
def coded(rlhf: Project) -> Project:
    """SFT has run with one module and two parameters."""
    rlhf.write("pipeline/sft.py", "epochs\n")
    rlhf.write("params.yaml", OTHERS + "train_sft: {epochs: 1, lr: null}\n")
    params = {"train_sft": {"epochs": 1, "lr": None}}
    rlhf.stage("train_sft", ["artifacts/data/texts/train.jsonl", "pipeline/sft.py"], ["artifacts/sft"], params)
    return rlhf


def broken(project: Project, path: str = "artifacts/sft") -> list[str]:
    lock, contents = project.lock(), project.contents()
    return breaks(lineage(path, lock, contents, None), lock, contents, project.root)


def test_what_is_as_it_was_has_no_break(coded: Project) -> None:
    assert broken(coded) == [] and broken(coded, DPO) == []


def test_changed_code_names_the_stage_that_ran_with_it(coded: Project) -> None:
    coded.write("pipeline/sft.py", "more epochs\n")
    assert broken(coded) == ["pipeline/sft.py: changed since train_sft ran with it"]
    (coded.root / "pipeline/sft.py").unlink()
    assert broken(coded) == ["pipeline/sft.py: changed since train_sft ran with it"]


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("{epochs: 2, lr: null}", "params.yaml, train_sft.epochs: 2 now, 1 when train_sft ran"),
        ("{epochs: 1}", "params.yaml, train_sft.lr: gone now, None when train_sft ran"),
        ("{epochs: 1, lr: null, more: 3}", None),
    ],
)
def test_parameters_are_those_of_the_run(coded: Project, section: str, line: str | None) -> None:
    """One that came since is none of the run's."""
    coded.write("params.yaml", f"{OTHERS}train_sft: {section}\n")
    assert broken(coded) == ([line] if line else [])


def test_an_output_that_was_edited_is_named_once_with_its_writer(coded: Project) -> None:
    coded.write("artifacts/sft/model.safetensors", "forged")
    (line,) = broken(coded, DPO)
    assert line == "artifacts/sft/model.safetensors: changed (written by train_sft)"


def test_what_lies_beside_the_lineage_is_none_of_it(coded: Project) -> None:
    coded.write("artifacts/reward_model/model.safetensors", "forged")
    assert broken(coded, DPO) == []
    assert broken(coded, "reports/reward_model/metrics.json") != []


def test_stages_behind_a_path_are_each_there_once(coded: Project) -> None:
    tree = lineage(DPO, coded.lock(), coded.contents(), None)
    names = [stage.name for stage in stages_behind(tree)]
    assert names[0] == "select_checkpoint@dpo-0" and len(names) == len(set(names))
    assert "train_reward" not in names and {"prepare_data", "train_sft", "score_reference"} <= set(names)
