"""dvc.lock as stages with what they read, wrote and were told."""

import pytest

from pipeline.errors import PipelineError
from pipeline.project.lockfile import Artifact, Lock

TEXT = """
schema: '2.0'
stages:
  sft:
    cmd: train
    deps:
      - {path: texts, md5: t1}
      - {path: stages/sft.py, md5: c1}
      - {path: artifacts/check.json, md5: g1}
    params: {params.yaml: {sft: {epochs: 1, targets: [q, v]}, seed: 0}}
    outs:
      - {path: artifacts/sft, md5: s1.dir}
  inputs:
    cmd: score
    deps: [{path: artifacts/sft/model.safetensors, md5: m1}]
    outs: [{path: artifacts/inputs/a, md5: i1}, {path: artifacts/inputs/b, md5: i2}]
  gone:
    cmd: old
    outs: [{path: artifacts/old, md5: o1}]
"""


@pytest.fixture
def lock() -> Lock:
    return Lock(TEXT, label="dvc.lock", names={"sft", "inputs"})


def test_code_inputs_and_parameters_are_told_apart(lock: Lock) -> None:
    sft = lock.stages["sft"]
    assert sft.inputs == [Artifact("texts", "t1")], "a gate is no input"
    assert sft.code == [Artifact("stages/sft.py", "c1")]
    assert sft.params == {"sft.epochs": 1, "sft.targets": ["q", "v"], "seed": 0}


def test_a_stage_that_dvc_yaml_does_not_have_is_stale(lock: Lock) -> None:
    assert set(lock.stale) == {"gone"} and lock.producer("artifacts/old") is None


def test_an_artifact_covers_what_lies_in_it_and_not_what_begins_alike() -> None:
    folder = Artifact("artifacts/sft", "")
    assert folder.covers("artifacts/sft") and folder.covers("artifacts/sft/a/b")
    assert not folder.covers("artifacts/sft_2") and not folder.covers("artifacts")


def test_a_path_leads_to_its_producers(lock: Lock) -> None:
    found = lock.producer("artifacts/sft/config.json")
    assert found is not None and (found[0].name, found[1].md5) == ("sft", "s1.dir")
    assert [out.path for _, out in lock.producers("artifacts/inputs")] == ["artifacts/inputs/a", "artifacts/inputs/b"]
    assert [out.path for _, out in lock.producers("artifacts/sft/x")] == ["artifacts/sft"]
    assert lock.producer("artifacts/inputs") is None and lock.producers("texts") == []


def test_readers_of_a_file_in_a_folder_read_the_folder_and_the_other_way_round(lock: Lock) -> None:
    assert [stage.name for stage in lock.consumers("artifacts/sft")] == ["inputs"]
    assert [stage.name for stage in lock.consumers("texts/train.jsonl")] == ["sft"]
    assert list(lock.consumers("artifacts/inputs/a")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema: '3.0'\nstages: {}\n", r"schema '3\.0'.*another version of DVC"),
        ("train: {}\n", "schema None"),
        ("", "no dvc.lock that can be read"),
        ("schema: '2.0'\nstages: [1]\n", "no dvc.lock that can be read"),
        ("schema: '2.0'\nstages: {a: {cmd: x, outs: [{path: b}]}}\n", "KeyError: 'md5'"),
        ("a: [", "no dvc.lock that can be read"),
    ],
)
def test_a_lock_that_is_none_is_named_with_the_way_out(text: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message) as caught:
        Lock(text, label="dvc.lock", names=set())
    assert "dvc repro" in str(caught.value)
