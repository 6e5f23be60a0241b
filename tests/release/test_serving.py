"""What a shared folder tells: the template is the format of training, the settings are those of sampling."""

import json
import os
from pathlib import Path

import pytest
import torch
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import processors
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerBase

from pipeline.data.tokens import tokenize_prompt
from pipeline.models.stopping import stop_token_ids
from pipeline.params.schema import Params
from pipeline.reading.chats import Message, render_prompt, render_response
from pipeline.release.serving import (
    name_score,
    own_template,
    template_with_bos,
    trained_template,
    write_sampling,
    write_template,
)
from tests.tiny_models import byte_level_tokenizer, changed

CHAT = [
    Message("system", "Be brief."), Message("user", 'What "is" it?\n\nHm.'), Message("assistant", "A {{ cat }}."),
    Message("user", "Why?"),
]  # fmt: skip


def written(template: str, messages: list[Message], *, ask: bool) -> str:
    """By the engine and the settings of transformers."""
    engine = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    chat = [{"role": one.role, "content": one.content} for one in messages]
    return engine.from_string(template).render(messages=chat, add_generation_prompt=ask)


def test_transcripts_are_written_as_they_were_read() -> None:
    prompt = render_prompt(CHAT)
    template = trained_template(["plain", prompt])
    assert written(template, CHAT, ask=True) == prompt
    answer = Message("assistant", "So.")
    assert written(template, [*CHAT, answer], ask=False) == prompt + render_response(answer)


def test_a_plain_prompt_is_itself() -> None:
    template = trained_template(["the first words", "of a text"])
    assert written(template, [Message("user", "the first words")], ask=True) == "the first words"
    whole = [Message("user", "the first words"), Message("assistant", "go on")]
    assert written(template, whole, ask=False) == "the first words go on"


@pytest.mark.parametrize("stored", ["file", "config", "both"])
def test_the_template_of_the_starting_model_is_replaced(tmp_path: Path, stored: str) -> None:
    config = {"chat_template": "old", "eos_token": "</s>"} if stored != "file" else {"eos_token": "</s>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    if stored != "config":
        (tmp_path / "chat_template.jinja").write_text("old")
    assert own_template(tmp_path) == "old"
    write_template(tmp_path, "new")
    assert own_template(tmp_path) == "new"
    assert json.loads((tmp_path / "tokenizer_config.json").read_text()) == {"eos_token": "</s>"}


def test_the_files_that_were_linked_stay_as_they_are(tmp_path: Path, params: Params) -> None:
    trained, shared = tmp_path / "trained", tmp_path / "shared"
    trained.mkdir()
    shared.mkdir()
    for name in ("config.json", "generation_config.json"):
        (trained / name).write_text('{"eos_token_id": 2, "_from_model_config": true}')
        os.link(trained / name, shared / name)
    write_sampling(shared, params.sampling, [2])
    name_score(shared)
    settings = json.loads((shared / "generation_config.json").read_text())
    assert settings["temperature"] == params.sampling.temperature and settings["eos_token_id"] == 2
    assert settings["do_sample"] is True and "_from_model_config" not in settings
    assert json.loads((shared / "config.json").read_text())["id2label"] == {"0": "reward"}
    for name in ("config.json", "generation_config.json"):
        assert (trained / name).read_text() == '{"eos_token_id": 2, "_from_model_config": true}'


def test_a_program_samples_as_the_evaluation_did_and_not_as_the_starting_model(tmp_path: Path, params: Params) -> None:
    """Penalties of the starting model were in no measurement; stop tokens were."""
    before = {"repetition_penalty": 1.3, "min_p": 0.2, "temperature": 1.9, "pad_token_id": 0, "eos_token_id": [7, 8]}
    (tmp_path / "generation_config.json").write_text(json.dumps(before))
    sampling = changed(params.sampling, stop_tokens=["."])
    tokenizer = byte_level_tokenizer()
    write_sampling(tmp_path, sampling, stop_token_ids(tokenizer, sampling, None).tolist())
    settings = GenerationConfig.from_pretrained(tmp_path)
    assert (settings.top_k, settings.top_p) == (0, 1.0), "their defaults would leave tokens out"
    assert settings.repetition_penalty in (None, 1.0) and settings.min_p is None
    assert settings.eos_token_id == [tokenizer.eos_token_id, *tokenizer.encode(".", add_special_tokens=False)]
    assert (settings.temperature, settings.pad_token_id) == (sampling.temperature, 0)


def test_generate_stops_at_a_stop_token(tmp_path: Path, policy_folder: Path, params: Params) -> None:
    """As the rollout does."""
    network = AutoModelForCausalLM.from_pretrained(policy_folder)
    prompt = torch.tensor([[5, 6]])
    first = int(network.generate(prompt, do_sample=False, max_new_tokens=1)[0, -1])
    write_sampling(tmp_path, params.sampling, [2, first])
    settings = GenerationConfig.from_pretrained(tmp_path)
    settings.do_sample = False
    assert network.generate(prompt, generation_config=settings).tolist() == [[5, 6, first]]


def with_bos() -> PreTrainedTokenizerBase:
    """As those of Llama: BOS before every text."""
    tokenizer = byte_level_tokenizer()
    bos = (tokenizer.bos_token, tokenizer.bos_token_id)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos[0]} $A", special_tokens=[bos]
    )
    return tokenizer


@pytest.mark.parametrize("tokenizer", [byte_level_tokenizer(), with_bos()], ids=["plain", "with BOS"])
@pytest.mark.parametrize("prompt", ["the first words", render_prompt(CHAT)], ids=["text", "chat"])
def test_a_program_reads_the_tokens_of_training(tokenizer: PreTrainedTokenizerBase, prompt: str) -> None:
    tokenizer.chat_template = template_with_bos(trained_template([prompt]), tokenizer)
    turns = CHAT if prompt != "the first words" else [Message("user", prompt)]
    chat = [{"role": one.role, "content": one.content} for one in turns]
    read = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert read == tokenize_prompt(tokenizer, prompt)


def test_a_template_that_writes_bos_stays_as_it_is() -> None:
    template = "{{ bos_token }}{{ messages[0]['content'] }}"
    assert template_with_bos(template, with_bos()) == template
