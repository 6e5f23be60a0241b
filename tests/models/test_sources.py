"""Where weights come from: a folder, a package, a hub id; every mistake names its key."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertModel,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

from pipeline.errors import PipelineError
from pipeline.models.checkpoints import save_model, save_policy
from pipeline.models.compute import Compute
from pipeline.models.folders import brings_code
from pipeline.models.policy import load_policy
from pipeline.models.reward_loading import load_reward_model
from pipeline.models.sources import load_source_backbone, load_source_policy, locate, separate_pad_token
from pipeline.models.text_format import TextFormat
from pipeline.params.schema import BackboneSource, PolicySource
from tests.conftest import PolicyMaker
from tests.tiny_models import byte_level_tokenizer, llama_config

KEY = "models.policy.source"
BACKBONE_KEY = "models.reward_backbone.source"


def source(
    name: Path | str, *, revision: str | None = None, trust_remote_code: bool = False, dtype: str = "float32"
) -> PolicySource:
    common = {"source": str(name), "revision": revision, "trust_remote_code": trust_remote_code, "dtype": dtype}
    return PolicySource(**common, chat_template=None)


def backbone_source(name: Path | str, *, is_reward_model: bool = False) -> BackboneSource:
    common = source(name).model_dump(exclude={"chat_template"})
    return BackboneSource(**common, is_reward_model=is_reward_model)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package whose code cannot be imported."""
    folder = tmp_path / "tiny_weights_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('its code must not run')\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_folder_loads_in_the_dtype_asked_for(policy_folder: Path) -> None:
    network, tokenizer = load_source_policy(source(policy_folder, dtype="bfloat16"), key=KEY)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.bfloat16}
    assert tokenizer.pad_token_id == network.config.pad_token_id != tokenizer.eos_token_id


def test_a_package_is_found_without_importing_it(package: Path, policy_folder: Path) -> None:
    shutil.copytree(policy_folder, package / "inside/model")
    located = locate(source("package:tiny_weights_package"), key=KEY)
    assert located.name == str(package / "inside/model") and located.options == {}
    assert "tiny_weights_package" not in sys.modules
    network, _ = load_source_policy(source("package:tiny_weights_package"), key=KEY)
    assert network.config.hidden_size == 32


def test_a_gguf_file_without_config_is_named(tmp_path: Path) -> None:
    (tmp_path / "weights.gguf").write_bytes(b"GGUF")
    assert locate(source(tmp_path), key=KEY).options == {"gguf_file": "weights.gguf"}


def test_a_hub_id_keeps_its_revision() -> None:
    assert locate(source("owner/model", revision="abc"), key=KEY).options == {"revision": "abc"}
    assert locate(source("gpt2"), key=KEY).options == {}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("package:no_such_package_here", "not installed"),
        ("data/models/missing/deeper", "does not exist"),
        ("./missing", "does not exist"),
        ("/missing/model", "does not exist"),
    ],
)
def test_what_is_not_there_is_named(name: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message) as error:
        locate(source(name), key=KEY)
    assert str(error.value).startswith(KEY)


def test_a_folder_in_data_models_that_is_missing_is_no_hub_id() -> None:
    # `data/models/x` has two slashes, `models/x` has one, like a hub id: only the network can tell
    with pytest.raises(PipelineError, match="does not exist"):
        locate(source("data/models/my-model"), key=KEY)


def test_folders_and_packages_without_weights_are_named(tmp_path: Path, package: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(PipelineError, match="has no weights"):
        locate(source(empty), key=KEY)
    with pytest.raises(PipelineError, match="holds no weights"):
        locate(source("package:tiny_weights_package"), key=KEY)


def test_weights_without_config_are_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(PipelineError, match=r"no config\.json"):
        locate(source(tmp_path), key=KEY)


def test_broken_files_are_a_message_with_the_key(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"not a safetensors file")
    (tmp_path / "config.json").write_text('{"model_type": "no_such_type"}')
    with pytest.raises(PipelineError, match=KEY):
        load_source_policy(source(tmp_path), key=KEY)


def test_weights_cut_short_are_a_message_with_the_key(tmp_path: Path, policy_folder: Path) -> None:
    shutil.copytree(policy_folder, tmp_path / "model")
    weights = tmp_path / "model/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(PipelineError, match=KEY):
        load_source_policy(source(tmp_path / "model"), key=KEY)


def test_a_backbone_has_no_head(encoder_folder: Path, decoder_folder: Path) -> None:
    for folder in (encoder_folder, decoder_folder):
        network, tokenizer = load_source_backbone(backbone_source(folder), key=BACKBONE_KEY)
        assert not hasattr(network, "lm_head") and not hasattr(network, "classifier")
        assert network.config.pad_token_id == tokenizer.pad_token_id


def test_what_a_backbone_lacks_does_not_depend_on_what_ran_before(encoder_folder: Path, tmp_path: Path) -> None:
    """The checkpoint of a language model has no pooler, and the stored backbone has one."""
    BertModel.from_pretrained(encoder_folder, add_pooling_layer=False).save_pretrained(tmp_path / "encoder")
    AutoTokenizer.from_pretrained(encoder_folder).save_pretrained(tmp_path / "encoder")
    poolers = []
    for state in (1, 2):
        torch.manual_seed(state)
        network, _ = load_source_backbone(backbone_source(tmp_path / "encoder"), key=BACKBONE_KEY)
        poolers.append(network.pooler.dense.weight)
    assert torch.equal(*poolers)


def test_pad_equal_to_eos_becomes_a_token_of_its_own(make_policy: PolicyMaker) -> None:
    network, tokenizer = make_policy().causal_lm, byte_level_tokenizer()
    before = network.get_input_embeddings().weight.detach().clone()
    tokenizer.pad_token = tokenizer.eos_token
    separate_pad_token(network, tokenizer)
    assert tokenizer.pad_token == "<|pad|>"
    assert tokenizer.pad_token_id not in (tokenizer.eos_token_id, tokenizer.bos_token_id)
    assert network.config.pad_token_id == network.generation_config.pad_token_id == tokenizer.pad_token_id
    assert network.get_input_embeddings().num_embeddings >= len(tokenizer)
    assert torch.equal(network.get_input_embeddings().weight[: len(before)], before)


@pytest.mark.parametrize("tied", [True, False])
def test_an_added_pad_token_is_hardly_ever_drawn(tied: bool) -> None:
    """Its logit is the mean of the others, whatever the state of the global generator."""
    tokenizer, rows = byte_level_tokenizer(), []
    for state in (1, 2):
        torch.manual_seed(0)
        network = LlamaForCausalLM(llama_config(tokenizer, tie_word_embeddings=tied, vocab_size=len(tokenizer)))
        torch.manual_seed(state)
        separate_pad_token(network, byte_level_without_pad())
        logits = network(torch.tensor([[5, 6, 7]])).logits[0, -1]
        assert logits[-1].item() == pytest.approx(logits[:-1].mean().item(), abs=1e-5)
        assert logits.softmax(-1)[-1] <= 1 / len(tokenizer)
        rows.append(network.get_output_embeddings().weight[-1])
    assert torch.equal(*rows)


def byte_level_without_pad() -> PreTrainedTokenizerFast:
    tokenizer = byte_level_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def test_an_unused_unknown_token_serves_as_pad(make_policy: PolicyMaker) -> None:
    network, tokenizer = make_policy().causal_lm, byte_level_tokenizer()
    size = network.get_input_embeddings().num_embeddings
    tokenizer.unk_token, tokenizer.pad_token = "<pad>", None
    separate_pad_token(network, tokenizer)
    assert tokenizer.pad_token_id == tokenizer.unk_token_id == 0
    assert network.get_input_embeddings().num_embeddings == size


def test_a_pad_token_of_its_own_stays(make_policy: PolicyMaker) -> None:
    network, tokenizer = make_policy().causal_lm, byte_level_tokenizer()
    separate_pad_token(network, tokenizer)
    assert tokenizer.pad_token == "<pad>"


def test_a_finished_reward_model_keeps_its_head(decoder_folder: Path, tmp_path: Path) -> None:
    bought = LlamaForSequenceClassification.from_pretrained(decoder_folder, num_labels=1)
    torch.nn.init.normal_(bought.score.weight)
    bought.save_pretrained(tmp_path)
    byte_level_tokenizer().save_pretrained(tmp_path)
    network, _ = load_source_backbone(backbone_source(tmp_path, is_reward_model=True), key=BACKBONE_KEY)
    assert torch.equal(network.score.weight, bought.score.weight)


def test_a_model_whose_score_head_would_be_made_up_is_refused(decoder_folder: Path) -> None:
    with pytest.raises(PipelineError, match=r"no weights for score\.weight"):
        load_source_backbone(backbone_source(decoder_folder, is_reward_model=True), key=BACKBONE_KEY)


def test_a_classifier_of_several_labels_is_no_reward_model(decoder_folder: Path, tmp_path: Path) -> None:
    LlamaForSequenceClassification.from_pretrained(decoder_folder, num_labels=2).save_pretrained(tmp_path)
    byte_level_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(PipelineError, match="gives 2 numbers"):
        load_source_backbone(backbone_source(tmp_path, is_reward_model=True), key=BACKBONE_KEY)


def test_pickled_weights_are_refused_with_the_reason(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(PipelineError, match=r"pytorch_model\.bin, a pickle: .* runs whatever code"):
        locate(source(tmp_path), key="models.policy.source")


@pytest.fixture
def folder_with_code(tmp_path: Path, policy_folder: Path) -> Path:
    """A model whose own code says so when it is run."""
    folder = tmp_path / "with_code"
    shutil.copytree(policy_folder, folder)
    (folder / "modeling_own.py").write_text(
        "from transformers import LlamaConfig, LlamaForCausalLM\n\n\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'own'\n\n\n"
        "class OwnForCausalLM(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {
        "AutoConfig": "modeling_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnForCausalLM",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_code_of_a_model_is_not_run_and_not_passed_on(
    tmp_path: Path, folder_with_code: Path, compute: Compute
) -> None:
    network, tokenizer = load_source_policy(source(folder_with_code), key=KEY)
    assert type(network) is LlamaForCausalLM
    save_model(network, tokenizer, tmp_path / "stored", with_code=False)
    assert not brings_code(tmp_path / "stored")
    assert type(load_policy(tmp_path / "stored", compute, finetuning=None).causal_lm) is LlamaForCausalLM


def test_trusted_code_is_run_and_passed_on(tmp_path: Path, folder_with_code: Path, compute: Compute) -> None:
    trusted = source(folder_with_code, trust_remote_code=True)
    network, tokenizer = load_source_policy(trusted, key=KEY)
    assert type(network).__name__ == "OwnForCausalLM"
    save_model(network, tokenizer, tmp_path / "stored")
    policy = load_policy(tmp_path / "stored", compute, finetuning=None)
    assert type(policy.causal_lm).__name__ == "OwnForCausalLM"
    start = tmp_path / "stored"
    save_policy(policy, tokenizer, tmp_path / "again", start=start, root=tmp_path, texts=TextFormat("transcript"))
    assert brings_code(tmp_path / "again") and (tmp_path / "again/modeling_own.py").is_file()


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "0123456"])
def test_code_from_a_hub_needs_a_commit(revision: str | None) -> None:
    with pytest.raises(PipelineError, match="40 hexadecimal digits"):
        locate(source("someone/model", revision=revision, trust_remote_code=True), key=KEY)
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert locate(source("someone/model", revision=commit, trust_remote_code=True), key=KEY).options == {
        "revision": commit
    }


@pytest.mark.parametrize("kept", [0, 5, 60, -7])
def test_weights_that_are_cut_short_are_named_wherever_they_are_loaded(
    kept: int, compute: Compute, make_policy: PolicyMaker, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    save_model(make_policy().causal_lm, byte_level_tokenizer(), folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    for load in (
        lambda: load_policy(folder, compute, finetuning=None),
        lambda: load_source_policy(source(folder), key=KEY),
        lambda: load_reward_model(folder, compute),
    ):
        with pytest.raises(PipelineError, match=r"model\.safetensors is damaged or cut short"):
            load()
