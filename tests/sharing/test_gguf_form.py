"""One file for llama.cpp: what a stand-in for its converter writes is compared with the release, text by text.

llama.cpp's converter is in no package registry under its own name and knows no tokenizer that was made for a test, so a
script stands for it here; docs/operations.md says how the real one did.
"""

from argparse import Namespace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from transformers import PreTrainedTokenizerFast

from pipeline.errors import PipelineError
from pipeline.models.text_format import TextFormat, store_text_format
from pipeline.params.schema import Params
from pipeline.reading.chats import Message, render_prompt
from pipeline.release.serving import trained_template, write_sampling, write_template
from pipeline.sharing.export import export
from pipeline.sharing.gguf_form import modelfile
from pipeline.sharing.objections import broken
from tests.labelling.serving import write_items
from tests.sharing.conftest import write_release
from tests.tiny_models import SENTENCES, changed, save_llama_policy

CONVERTER = """
import json, sys
from pathlib import Path
import gguf, torch
from safetensors.torch import load_file

source, target = Path(sys.argv[1]), sys.argv[sys.argv.index("--outfile") + 1]
config = json.loads((source / "config.json").read_text())
tokenizer = json.loads((source / "tokenizer.json").read_text())
heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
writer = gguf.GGUFWriter(target, "llama")
writer.add_block_count(config["num_hidden_layers"])
writer.add_context_length(config["max_position_embeddings"])
writer.add_embedding_length(config["hidden_size"])
writer.add_feed_forward_length(config["intermediate_size"])
writer.add_head_count(heads)
writer.add_head_count_kv(groups)
writer.add_rope_dimension_count(config["hidden_size"] // heads)
writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
writer.add_vocab_size(config["vocab_size"])
tokens = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
writer.add_tokenizer_model("gpt2")
writer.add_token_list(tokens)
writer.add_token_types([3 if token in ("<pad>", "<s>", "</s>") else 1 for token in tokens])
writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in tokenizer["model"]["merges"]])
writer.add_bos_token_id(config["bos_token_id"])
writer.add_eos_token_id(config["eos_token_id"])
names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])


def interleaved(weight, count):  # as llama.cpp turns query and key
    halves = weight.reshape(count, 2, weight.shape[0] // count // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


for name, weight in load_file(source / "model.safetensors").items():
    weight = weight.float() * SCALE
    if "q_proj" in name or "k_proj" in name:
        weight = interleaved(weight, heads if "q_proj" in name else groups)
    writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), weight.contiguous().numpy())
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
"""


@pytest.fixture
def project(tmp_path: Path, params: Params, tokenizer: PreTrainedTokenizerFast) -> Path:
    folder = tmp_path / "artifacts/release/dpo"
    save_llama_policy(folder, tokenizer)
    store_text_format(folder, TextFormat("transcript"))
    write_template(folder, trained_template(SENTENCES))
    write_sampling(folder, changed(params.sampling, temperature=0.7), [tokenizer.eos_token_id])
    write_release(tmp_path, "dpo", params)
    write_items(tmp_path / "artifacts/data/prompts/evaluation.jsonl", [{"prompt": text} for text in SENTENCES])
    return tmp_path


def run(project: Path, *, scale: str = "1.0", converter: str = CONVERTER) -> Path:
    checkout = project / "llama.cpp"
    checkout.mkdir(exist_ok=True)
    (checkout / "convert_hf_to_gguf.py").write_text(converter.replace("SCALE", scale))
    export(project, Namespace(policy="dpo", form="gguf", base=None, llama_cpp=checkout))
    return project / "artifacts/exports/dpo-gguf"


def test_the_file_says_the_same_and_is_ready_to_share(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run(project)
    assert {file.name for file in folder.iterdir()} == {"dpo.gguf", "Modelfile", "README.md", "provenance.json"}
    assert f"log-probs of {len(SENTENCES)} texts" in capsys.readouterr().out
    card = ModelCard.load(folder / "README.md").data
    assert (card.base_model_relation, card.library_name) == ("quantized", "gguf")
    assert broken(folder) == []


def test_other_weights_are_noticed(project: Path) -> None:
    with pytest.raises(PipelineError, match="log-probs of 6 texts differ"):
        run(project, scale="1.02")
    assert list((project / "artifacts/exports").iterdir()) == []


def test_a_converter_that_fails_or_is_missing_is_told(project: Path) -> None:
    with pytest.raises(PipelineError, match="unknown architecture"):
        run(project, converter="import sys; sys.exit('unknown architecture')")
    with pytest.raises(PipelineError, match="git clone"):
        export(project, Namespace(policy="dpo", form="gguf", base=None, llama_cpp=project / "none"))


def test_the_modelfile_has_the_sampling_and_the_texts_of_training(project: Path) -> None:
    release = project / "artifacts/release/dpo"
    lines = modelfile(release, "dpo.gguf").splitlines()
    assert lines[0] == "FROM ./dpo.gguf"
    assert {"PARAMETER temperature 0.7", "PARAMETER top_k 0", 'PARAMETER stop "</s>"'} <= set(lines)
    assert 'TEMPLATE """{{ .Prompt }}"""' in lines
    write_template(release, trained_template([render_prompt([Message("user", "Why?")])]))
    assert "\n\nHuman: {{ .Prompt }}{{ end }}\n\nAssistant:{{ .Response }}" in modelfile(release, "dpo.gguf")
