"""Nothing is sent unasked, and nothing that is stale, flagged or damaged."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import LocalTokenNotFoundError

from pipeline.errors import PipelineError
from pipeline.params.schema import Params
from pipeline.project.hashing import sha256
from pipeline.sharing import publish as command
from pipeline.sharing.publish import publish
from pipeline.sharing.variants import seal_export
from tests.sharing.conftest import FakeHub, write_flags, write_release


def asked(**changes: Any) -> Namespace:
    given = {"repo": "someone/films", "policy": "dpo", "variant": "merged"}
    return Namespace(**given | {"push": False, "public": False, "force": False} | changes)


@pytest.fixture
def release(tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that is as dvc.lock says; the tiny pipeline's tests look at a real one."""
    monkeypatch.setattr(command, "stale", lambda *_: [])
    return write_release(tmp_path, "dpo", params)


def test_a_dry_run_says_all_and_sends_nothing(
    tmp_path: Path, release: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(tmp_path, asked(), hub)  # type: ignore[arg-type]
    said = capsys.readouterr().out
    for file in release.iterdir():
        assert file.name in said and sha256(file) in said
    assert "base_model: HuggingFaceTB/SmolLM2-135M-Instruct" in said and "license: apache-2.0" in said
    assert "datasets: none" in said and "nothing was sent" in said
    assert hub.calls == []


@pytest.mark.parametrize("public", [False, True])
def test_a_push_is_one_commit_to_a_private_repository(
    tmp_path: Path, release: Path, hub: FakeHub, public: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.files["notes.txt"] = b"of somebody"
    publish(tmp_path, asked(push=True, public=public), hub)  # type: ignore[arg-type]
    assert hub.files == {"notes.txt": b"of somebody"} | {file.name: file.read_bytes() for file in release.iterdir()}
    assert [name for name, _ in hub.calls] == ["whoami", "create_repo", "upload_folder", "list_repo_tree"]
    assert hub.calls[1][1]["private"] is not public
    assert "still there: notes.txt" in capsys.readouterr().out


@pytest.mark.parametrize("lost", ["model.safetensors", "README.md"])
def test_what_did_not_arrive_is_told(tmp_path: Path, release: Path, hub: FakeHub, lost: str) -> None:
    hub.loses = lost
    with pytest.raises(PipelineError, match=f"what the hub has of {lost} is not what was sent"):
        publish(tmp_path, asked(push=True), hub)  # type: ignore[arg-type]


def test_who_is_not_logged_in_is_told_how(tmp_path: Path, release: Path, hub: FakeHub) -> None:
    hub.refuses = LocalTokenNotFoundError("no token")
    with pytest.raises(PipelineError, match="hf auth login"):
        publish(tmp_path, asked(push=True), hub)  # type: ignore[arg-type]
    assert [name for name, _ in hub.calls] == ["whoami"]


@pytest.mark.parametrize("push", [False, True])
def test_a_flag_or_a_stale_release_needs_force(
    tmp_path: Path, release: Path, hub: FakeHub, push: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_flags(tmp_path, [{"policy": "ppo", "code": "kl", "message": "of another"}])
    publish(tmp_path, asked(), hub)  # type: ignore[arg-type]
    write_flags(tmp_path, [{"policy": "dpo", "code": "kl", "message": "too far from SFT"}])
    with pytest.raises(PipelineError, match=r"FORCE=1(.|\n)*too far from SFT"):
        publish(tmp_path, asked(push=push), hub)  # type: ignore[arg-type]
    write_flags(tmp_path, [])
    monkeypatch.setattr(command, "stale", lambda *_: ["params.yaml, seed: 1 now"])
    with pytest.raises(PipelineError, match=r"stale(.|\n)*seed: 1 now"):
        publish(tmp_path, asked(push=push), hub)  # type: ignore[arg-type]
    assert hub.calls == []
    publish(tmp_path, asked(push=push, force=True), hub)  # type: ignore[arg-type]
    assert bool(hub.files) == push


@pytest.mark.parametrize(
    ("file", "content", "seen"),
    [
        ("model.safetensors", "other", "not the file of"),
        ("extra.bin", "x", "not in provenance.json"),
        ("model.safetensors", None, "gone"),
    ],
)
def test_a_folder_that_is_not_as_it_was_built_goes_not_even_by_force(
    tmp_path: Path, release: Path, hub: FakeHub, file: str, content: str | None, seen: str
) -> None:
    if content is None:
        (release / file).unlink()
    else:
        (release / file).write_text(content)
    with pytest.raises(PipelineError, match=f"{file}: {seen}"):
        publish(tmp_path, asked(push=True, force=True), hub)  # type: ignore[arg-type]
    assert hub.calls == []


@pytest.mark.parametrize("repo", ["films", "a/b/c", "some one/films"])
def test_a_name_that_is_no_repository_is_refused(tmp_path: Path, release: Path, hub: FakeHub, repo: str) -> None:
    with pytest.raises(PipelineError, match="REPO="):
        publish(tmp_path, asked(repo=repo, push=True), hub)  # type: ignore[arg-type]


def test_an_export_of_another_release_is_refused(
    tmp_path: Path, release: Path, params: Params, hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PipelineError, match="make export POLICY=dpo FORM=adapter"):
        publish(tmp_path, asked(variant="adapter"), hub)  # type: ignore[arg-type]
    export = tmp_path / "artifacts/exports/dpo-adapter"
    export.mkdir(parents=True)
    (export / "README.md").write_text((release / "README.md").read_text())
    seal_export(tmp_path, "dpo", export)
    publish(tmp_path, asked(variant="adapter"), hub)  # type: ignore[arg-type]
    assert "artifacts/exports/dpo-adapter to someone/films" in capsys.readouterr().out
    (release / "model.safetensors").write_bytes(b"of a rebuild")
    with pytest.raises(PipelineError, match="made from another artifacts/release/dpo"):
        publish(tmp_path, asked(variant="adapter"), hub)  # type: ignore[arg-type]


def test_what_was_not_released_is_named(tmp_path: Path, release: Path, hub: FakeHub) -> None:
    with pytest.raises(PipelineError, match=r"artifacts/release/hybrid: .* There are dpo"):
        publish(tmp_path, asked(policy="hybrid"), hub)  # type: ignore[arg-type]
