"""Model folders: adapters name what they lie on, and weights are on the disk once."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.folders import (
    BASE,
    Base,
    base_folder,
    has_adapters_alone,
    link_files,
    open_weights,
    stored_dtype,
    stored_sizes,
    weights_hash,
    whole_model,
)
from pipeline.models.policy import load_policy
from pipeline.models.reward_loading import create_reward_model, load_reward_model
from tests.trained_project import TrainedProject


def test_a_whole_model_is_its_own_end_of_the_chain(trained_project: TrainedProject) -> None:
    sft, dpo = trained_project.sft, trained_project.dpo
    start = trained_project.root / "artifacts/models/policy"
    assert not has_adapters_alone(start) and has_adapters_alone(sft) and has_adapters_alone(dpo)
    assert base_folder(dpo) == sft and base_folder(sft) == start
    assert whole_model(dpo) == whole_model(start) == start
    assert stored_dtype(dpo) == stored_dtype(start) == torch.bfloat16


def test_the_base_is_found_wherever_the_project_lies(trained_project: TrainedProject, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(trained_project.root, moved)
    assert base_folder(moved / "artifacts/policies/dpo/seed-0") == moved / "artifacts/sft"


def test_artifacts_may_be_a_link_to_another_disk(trained_project: TrainedProject, tmp_path: Path) -> None:
    large = tmp_path / "large/of-this-project"
    large.parent.mkdir()
    (trained_project.root / "artifacts").rename(large)
    (trained_project.root / "artifacts").symlink_to(large)
    assert base_folder(trained_project.dpo) == trained_project.sft


@pytest.mark.parametrize("changed", ["models/policy/model.safetensors", "sft/adapter_model.safetensors"])
def test_other_weights_below_the_adapters_are_refused(
    trained_project: TrainedProject, compute: Compute, changed: str
) -> None:
    """At any depth of the chain: DPO lies on SFT, which lies on the starting model."""
    file = trained_project.root / "artifacts" / changed
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(PipelineError, match="trained on other weights"):
        load_policy(trained_project.dpo, compute, finetuning=None)


def test_a_missing_base_is_named(trained_project: TrainedProject, compute: Compute) -> None:
    shutil.rmtree(trained_project.root / "artifacts/models")
    with pytest.raises(PipelineError, match=r"lie on artifacts/models/policy, which is missing"):
        load_policy(trained_project.dpo, compute, finetuning=None)


def test_adapters_say_what_they_lie_on(trained_project: TrainedProject) -> None:
    base = json.loads((trained_project.dpo / BASE).read_text())
    assert base == {"folder": "artifacts/sft", "sha256": weights_hash(trained_project.sft)}
    assert Base.read(trained_project.sft).folder == "artifacts/models/policy"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "model.safetensors").write_text("weights")
    (folder / "config.json").write_text("{}")
    (folder / "checkpoints/step.bin").write_text("a checkpoint on the way")
    return folder


def test_weights_are_on_the_disk_once_and_folders_stay_behind(tmp_path: Path, source: Path) -> None:
    link_files(source, tmp_path / "target")
    files = sorted((tmp_path / "target").iterdir())
    assert [file.name for file in files] == ["config.json", "model.safetensors"]
    for file in files:
        assert file.stat().st_ino == (source / file.name).stat().st_ino


def test_a_disk_that_cannot_link_gets_copies(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*paths: Path) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    link_files(source, tmp_path / "target")
    for file in (tmp_path / "target").iterdir():
        assert file.read_bytes() == (source / file.name).read_bytes()
        assert file.stat().st_ino != (source / file.name).stat().st_ino


def test_the_hash_of_one_file_is_that_of_sha256sum_and_several_count_by_name(source: Path) -> None:
    whole = weights_hash(source)
    assert whole == "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    (source / "model-2.safetensors").write_text("more")
    several = weights_hash(source)
    (source / "model.safetensors").write_text("more")
    (source / "model-2.safetensors").write_text("weights")
    assert len({whole, several, weights_hash(source)}) == 3


def test_a_damaged_file_is_named_and_what_fails_in_an_open_one_is_not_its_fault(
    policy_folder: Path, tmp_path: Path
) -> None:
    weights = policy_folder / "model.safetensors"
    with pytest.raises(OSError, match="something else"), open_weights(weights):
        raise OSError("something else")
    cut = tmp_path / "model.safetensors"
    cut.write_bytes(weights.read_bytes()[:99])
    named = r"model\.safetensors is damaged or cut short .* Ask for it"
    with pytest.raises(PipelineError, match=named), open_weights(cut, advice="Ask for it."):
        pass
    with pytest.raises(PipelineError, match=r"model\.safetensors is damaged or cut short"):
        stored_sizes(tmp_path)


def test_a_reward_models_files_are_looked_into_once_before_they_are_loaded(
    decoder_folder: Path, compute: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once more for the bias that transformers leaves out."""
    opened: list[Path] = []

    def opening(file: Path, framework: str) -> safe_open:
        opened.append(file)
        return safe_open(file, framework=framework)

    monkeypatch.setattr("pipeline.models.folders.safe_open", opening)
    create_reward_model(decoder_folder, compute, max_length=8, seed=0).save(tmp_path)
    assert opened == [decoder_folder / "model.safetensors"]
    opened.clear()
    load_reward_model(tmp_path, compute)
    assert opened == [tmp_path / "model.safetensors"] * 2
