"""Every edge is compared: what a stage read against what its producer wrote, and stages among themselves."""

import json

import pytest

from pipeline.lineage.edges import edge_breaks
from pipeline.lineage.tree import lineage
from pipeline.lineage.verify import breaks
from pipeline.project.lockfile import Lock
from tests.lineage.conftest import PAIR, PROMPT, Project, pair

TRAIN = "artifacts/preferences/accepted/train.jsonl"


def edges(project: Project) -> list[str]:
    lock = project.lock()
    return edge_breaks(lock.stages.values(), lock, project.contents())


def test_a_run_from_end_to_end_has_no_break(rlhf: Project) -> None:
    assert edges(rlhf) == []


def test_a_reward_model_that_saw_another_file_than_dpo_is_named(rlhf: Project) -> None:
    """As after `dvc repro -s validate_preferences score_reference optimize_policy@dpo-0 ...`."""
    old = rlhf.entries["train_reward"]["deps"][0]["md5"]
    rlhf.write(TRAIN, [pair(PAIR, PROMPT, chosen="Another.")])
    writes = ["artifacts/preferences/accepted", "artifacts/preferences/quarantine.jsonl"]
    rlhf.stage("validate_preferences", ["artifacts/preferences/raw.jsonl"], writes)
    rlhf.stage("score_reference", ["artifacts/sft", TRAIN], ["artifacts/inputs/dpo"])
    (line,) = edges(rlhf)
    new = rlhf.entries["score_reference"]["deps"][1]["md5"]
    for word in (TRAIN, "train_reward", old[:12], "validate_preferences", new[:12], "`dvc repro train_reward`"):
        assert word in line
    tree = lineage("reports/reward_model/metrics.json", rlhf.lock(), rlhf.contents(), None)
    assert breaks(tree, rlhf.lock(), rlhf.contents(), rlhf.root)[0] == line


def test_a_whole_output_that_was_written_again_is_named(rlhf: Project) -> None:
    rlhf.write("artifacts/sft/model.safetensors", "another")
    rlhf.stage("train_sft", ["artifacts/data/texts/train.jsonl"], ["artifacts/sft"])
    readers = [line.split(": ")[1].split(" read")[0] for line in edges(rlhf)]
    assert readers == ["collect_preferences", "score_reference", "optimize_policy@dpo-0", "evaluate_policy@dpo-0"]


def test_a_folder_of_several_outputs_is_compared_file_by_file(rlhf: Project) -> None:
    rlhf.write("artifacts/inputs/hybrid/seed-1/prompts.jsonl", [])
    reads = ["artifacts/policies/dpo/seed-0", "artifacts/data/prompts/train.jsonl"]
    # hybrid-0 read the folder of before; its listing is nowhere, unless the cache happens to have it
    listing = [
        {"md5": item["md5"], "relpath": f"seed-{seed}/prompts.jsonl"}
        for seed in (0, 1)
        for item in json.loads(rlhf.cached(rlhf.entries["find_regressions@0"]["outs"][seed]["md5"]).read_text())
    ]
    dep = rlhf.entries["optimize_policy@hybrid-0"]["deps"][0]["md5"]
    rlhf.cached(dep).parent.mkdir(parents=True, exist_ok=True)
    rlhf.cached(dep).write_text(json.dumps(listing))
    rlhf.stage("find_regressions@0", reads, ["artifacts/inputs/hybrid/seed-0", "artifacts/inputs/hybrid/seed-1"])
    (line,) = edges(rlhf)
    assert line.startswith("artifacts/inputs/hybrid/seed-1/prompts.jsonl: optimize_policy@hybrid-0 read")


def test_two_stages_that_read_a_source_in_two_versions_are_named(project: Project) -> None:
    for name, text in (("one", "a"), ("two", "b")):
        project.write("data/models/config.json", text)
        project.write(f"artifacts/{name}", name)
        project.stage(name, ["data/models"], [f"artifacts/{name}"])
    (line,) = edges(project)
    assert "data/models: one read" in line and "two read" in line and "`dvc repro one two`" in line


def test_stages_that_dvc_yaml_no_longer_has_are_part_of_no_edge(rlhf: Project) -> None:
    rlhf.lock()
    rlhf.entries["train_reward"]["deps"][0]["md5"] = "0" * 32
    assert len(edges(rlhf)) == 1
    lock = Lock((rlhf.root / "dvc.lock").read_text(), label="dvc.lock", names=set(rlhf.entries) - {"train_reward"})
    assert edge_breaks(lock.stages.values(), lock, rlhf.contents()) == []


@pytest.mark.parametrize("content", [b"[]", b"\xff{"])
def test_a_damaged_listing_of_the_cache_is_corrupt_and_nothing_else_follows_from_it(
    rlhf: Project, content: bytes
) -> None:
    """It used to say that the stage had written nothing, and to run it again."""
    listing = next(rlhf.cache.rglob("*.dir"))
    listing.chmod(0o644)
    listing.write_bytes(content)
    contents = rlhf.contents()
    assert edge_breaks(rlhf.lock().stages.values(), rlhf.lock(), contents) == []
    name = listing.parent.name + listing.name
    (artifact,) = {out for stage in rlhf.lock().stages.values() for out in stage.outputs if out.md5 == name}
    assert any("is corrupt" in line for line in contents.cache_breaks(artifact))


@pytest.mark.parametrize("later", [{"a": "1"}, {"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "other"}])
def test_a_folder_within_an_output_is_compared_file_by_file(project: Project, later: dict[str, str]) -> None:
    """One file of it is gone, came, or changed since it was read; what lies beside it is of no interest."""

    def write(files: dict[str, str]) -> None:
        for old in (project.root / "out").rglob("*.txt"):
            old.unlink()
        project.write("out/beside.txt", str(files))
        for name, text in files.items():
            project.write(f"out/part/{name}.txt", text)
        project.stage("writer", [], ["out"])

    write({"a": "1", "b": "2"})
    project.write("read", "")
    # of a folder in an output the cache has no listing, unless an output is that folder
    project.stage("reader", ["out/part"], ["out/part", "read"])
    project.entries["reader"]["outs"].pop(0)
    assert edges(project) == []
    write(later)
    (line,) = edges(project)
    odd = "c" if "c" in later else "b"
    assert line.startswith(f"out/part/{odd}.txt: reader read ") and "writer has written" in line
    assert ("has written nothing" in line) == ("b" not in later) and ("reader read nothing" in line) == ("c" in later)


def test_a_file_that_its_producer_no_longer_writes_was_read_in_another_version(project: Project) -> None:
    for name in ("a", "b"):
        project.write(f"out/{name}.txt", name)
    project.stage("writer", [], ["out"])
    project.write("read", "")
    project.stage("reader", ["out/b.txt"], ["read"])
    (project.root / "out/b.txt").unlink()
    project.stage("writer", [], ["out"])
    (line,) = edges(project)
    assert line.startswith("out/b.txt: reader read ") and "writer has written nothing; `dvc repro reader`" in line


def test_a_folder_within_an_output_that_no_list_is_kept_of_is_compared_as_a_whole(project: Project) -> None:
    """As labels in the prepared data, which the judge was fitted to."""
    project.write("out/part/a.txt", "1")
    project.write("out/beside.txt", "1")
    project.stage("writer", [], ["out"])
    project.write("read", "")
    project.stage("reader", ["out/part"], ["read"])
    project.write("out/beside.txt", "2")
    project.stage("writer", [], ["out"])
    assert edges(project) == [], "what the reader has read is the same"
    project.write("out/part/a.txt", "2")
    project.stage("writer", [], ["out"])
    (line,) = edges(project)
    assert line.startswith("out/part: reader read ") and "writer has written" in line
