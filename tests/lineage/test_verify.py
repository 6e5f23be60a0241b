"""Every edge is compared: what a stage read against what its producer wrote, and stages among themselves."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.repo import Repo

from pipeline.errors import PipelineError
from pipeline.lineage.contents import Contents
from pipeline.lineage.edges import edge_breaks
from pipeline.lineage.tree import lineage
from pipeline.lineage.verify import breaks, cache_breaks
from pipeline.project.defaults import committed_defaults
from pipeline.project.graph import cache_folder
from pipeline.project.lockfile import Lock
from tests.lineage.conftest import PAIR, PROMPT, Project, pair

TRAIN = "artifacts/preferences/accepted/train.jsonl"
DPO = "artifacts/selected/dpo/seed-0"


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
    reads = ["artifacts/selected/dpo/seed-0", "artifacts/data/prompts/train.jsonl"]
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


@pytest.mark.parametrize("level", ["project", "local"])
def test_the_cache_is_where_dvcs_configuration_says(tmp_path: Path, level: str) -> None:
    root, elsewhere = tmp_path / "project", tmp_path / "big disk/cache"
    root.mkdir()
    repo = Repo.init(str(root), no_scm=True)
    assert cache_folder(root) == root / ".dvc/cache/files/md5"
    with repo.config.edit("repo" if level == "project" else "local") as config:
        config["cache"]["dir"] = str(elsewhere)
    assert cache_folder(root) == elsewhere / "files/md5"
    md5 = "0123456789abcdef0123456789abcdef"
    assert Contents(root).cached_path(md5) == elsewhere / "files/md5/01" / md5[2:]


def test_a_folder_without_dvc_says_so(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="DVC cache cannot be found"):
        cache_folder(tmp_path)


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


def test_stages_that_dvc_yaml_no_longer_has_are_part_of_no_edge(rlhf: Project) -> None:
    rlhf.lock()
    rlhf.entries["train_reward"]["deps"][0]["md5"] = "0" * 32
    assert len(edges(rlhf)) == 1
    lock = Lock((rlhf.root / "dvc.lock").read_text(), label="dvc.lock", names=set(rlhf.entries) - {"train_reward"})
    assert edge_breaks(lock.stages.values(), lock, rlhf.contents()) == []


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


def test_an_edited_file_of_the_cache_is_not_read(rlhf: Project) -> None:
    contents = rlhf.contents()
    md5 = contents.current_hash(TRAIN)
    assert md5 is not None
    file = rlhf.cached(md5)
    file.chmod(0o644)
    file.write_bytes(b'{"id": "forged"}\n')
    lines = rlhf.contents().lines(TRAIN, md5)
    assert lines is not None and "forged" not in "".join(lines)
    rlhf.write(TRAIN, "neither")
    assert rlhf.contents().lines(TRAIN, md5) is None
