"""The folders that models are shared in: files, card and provenance."""

import hashlib
import json
import socket
from argparse import Namespace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from pipeline.models.compute import Compute
from pipeline.models.policy import load_policy
from pipeline.project.hashing import content_hash
from pipeline.sharing.export import export
from pipeline.sharing.objections import broken, stale
from tests.tiny_project import edit_params

SOURCES = {
    "sft": "artifacts/sft",
    "dpo": "artifacts/policies/dpo/seed-0",
    "ppo": "artifacts/policies/ppo/seed-0",
    "reward_model": "artifacts/reward_model",
}


# written anew: what the programs that load it are told
HOW_TO_USE = {"config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja"}
ADAPTER_FILES = {"adapter_model.safetensors", "adapter_config.json", "base.json"}


@pytest.fixture(params=SOURCES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def folder(project: Path, name: str) -> Path:
    return project / "artifacts/release" / name


def test_the_model_is_the_trained_one_and_loads(project: Path, folder: Path, name: str, compute: Compute) -> None:
    trained = project / SOURCES[name]
    for file in trained.iterdir():
        if file.is_file() and file.name not in HOW_TO_USE | ADAPTER_FILES:
            assert (folder / file.name).read_bytes() == file.read_bytes()
    assert not (folder / "checkpoints").exists() and not any((folder / one).exists() for one in ADAPTER_FILES)
    if name == "reward_model":
        AutoModelForSequenceClassification.from_pretrained(folder)
        return
    expected = load_policy(trained, compute, finetuning=None).causal_lm.state_dict()
    found = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert found.keys() == expected.keys() and all(found[one].equal(expected[one]) for one in found)


def test_programs_that_load_it_are_told_how_it_was_trained(project: Path, folder: Path, name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompts = [json.loads(line)["prompt"] for line in (project / "artifacts/data/prompts/train.jsonl").open()]
    chat = [{"role": "user", "content": prompts[0]}]
    assert tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) == prompts[0]
    if name == "reward_model":
        assert AutoModelForSequenceClassification.from_pretrained(folder).config.id2label == {0: "reward"}
    else:
        settings = AutoModelForCausalLM.from_pretrained(folder).generation_config
        assert (settings.do_sample, settings.temperature, settings.max_new_tokens) == (True, 0.7, 8)
        assert settings.eos_token_id == tokenizer.eos_token_id


def test_others_may_read_what_was_written(project: Path) -> None:
    """As the umask says: weights are written for their owner alone, which would be of no use to a colleague."""
    usual = (project / "dvc.lock").stat().st_mode & 0o444
    files = [file for file in (project / "artifacts").rglob("*") if file.is_file()]
    assert files and not [str(file) for file in files if file.stat().st_mode & 0o444 != usual]


def test_the_card_is_one_that_the_hub_reads(project: Path, folder: Path, name: str) -> None:
    card = ModelCard.load(folder / "README.md")
    comparison = json.loads((project / "reports/comparison.json").read_text())
    metrics = {result.metric_name: result.metric_value for result in card.data.eval_results}
    if name == "reward_model":
        assert metrics["Accuracy on test pairs"] == round(comparison["reward_model"]["accuracy"]["mean"], 6)
    else:
        assert metrics["Judge score"] == round(comparison["policies"][name]["judge_score"]["mean"], 6)
    assert card.data.model_name == name and card.data.library_name == "transformers"
    for title in ("Intended use", "Training data", "Evaluation", "Training parameters", "Files"):
        assert f"## {title}" in card.text
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() in card.text


def test_the_statement_names_every_file_and_what_it_came_from(project: Path, folder: Path, name: str) -> None:
    statement = json.loads((folder / "provenance.json").read_text())
    digests = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    del files["provenance.json"]
    assert digests == files
    build = statement["predicate"]["buildDefinition"]
    inputs = {one["uri"]: one["digest"]["dvcMd5"] for one in build["resolvedDependencies"]}
    assert {"data/raw", "data/models", "artifacts/models", "requirements.txt", "pipeline/training/dpo.py"} <= set(
        inputs
    )
    assert all(content_hash(project / path) == digest for path, digest in inputs.items())
    assert build["externalParameters"]["params"]["optimize.dpo.beta"] == 0.1
    stages = {"sft": "train_sft", "reward_model": "train_reward"}
    assert build["externalParameters"]["stage"] == stages.get(name, f"select_checkpoint@{name}-0")


def test_nothing_says_where_or_when(project: Path, folder: Path) -> None:
    for file in ("README.md", "provenance.json"):
        text = (folder / file).read_text()
        assert str(project) not in text and socket.gethostname() not in text


_OTHERS = [
    pytest.param(name, marks=pytest.mark.slow(beside="test_it_is_stale_when_a_parameter_behind_it_changes"))
    for name in SOURCES
    if name != "dpo"
]


@pytest.mark.parametrize("name", ["dpo", *_OTHERS], indirect=True)
def test_it_is_stale_when_a_parameter_behind_it_changes(project: Path, folder: Path, name: str) -> None:
    assert stale(project, name) == [] and broken(folder) == []
    before = (project / "params.yaml").read_text()
    edit_params(project, {"train_sft.learning_rate": 0.5})
    try:
        assert any("train_sft.learning_rate" in line for line in stale(project, name))
    finally:
        (project / "params.yaml").write_text(before)


@pytest.mark.parametrize("method", ["sft", "dpo", "ppo", "hybrid"])
def test_adapters_of_every_method_lie_on_a_released_model(project: Path, method: str) -> None:
    export(project, Namespace(policy=method, form="adapter", base="someone/films-sft"))
    folder = project / f"artifacts/exports/{method}-adapter"
    assert broken(folder) == [] and (folder / "adapter_model.safetensors").is_file()
