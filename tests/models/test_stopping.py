"""What ends a response: EOS, generation_config.json, the template's end of turn, and the stop tokens that were set."""

from pathlib import Path

import pytest
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pipeline.errors import PipelineError
from pipeline.models.checkpoints import save_checkpoint, save_policy, save_whole
from pipeline.models.compute import Compute
from pipeline.models.folders import stored_generation_config
from pipeline.models.policy import Policy, load_policy, load_tokenizer
from pipeline.models.stopping import stop_token_ids
from pipeline.models.text_format import TextFormat
from pipeline.params.schema import Sampling
from tests.tiny_models import FULL, LORA, byte_level_tokenizer, changed, llama_config
from tests.tokenizer_kinds import sentencepiece

PLAIN = Sampling(max_new_tokens=12, temperature=1.0, stop_tokens=[], batch_size=4, max_prompt_tokens=None)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


@pytest.fixture
def gemma_like() -> PreTrainedTokenizerFast:
    tokenizer = byte_level_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<start_of_turn>", "<end_of_turn>"]})
    tokenizer.chat_template = GEMMA
    return tokenizer


@pytest.mark.parametrize(("given", "expected"), [(None, [2]), (2, [2]), (7, [2, 7]), ([7, 2, 9], [2, 7, 9])])
def test_the_ids_of_the_generation_config_end_a_response(given: int | list[int] | None, expected: list[int]) -> None:
    config = GenerationConfig(eos_token_id=given)
    assert stop_token_ids(byte_level_tokenizer(), PLAIN, config).tolist() == expected


def test_so_does_the_end_of_turn_of_the_chat_template(gemma_like: PreTrainedTokenizerFast) -> None:
    turn = gemma_like.convert_tokens_to_ids("<end_of_turn>")
    assert stop_token_ids(gemma_like, PLAIN, None).tolist() == [2, turn]
    found = stop_token_ids(gemma_like, changed(PLAIN, stop_tokens=["a"]), GenerationConfig(eos_token_id=[turn, 2, 5]))
    assert found.tolist() == [2, turn, 5, gemma_like.convert_tokens_to_ids("a")]


def test_a_stop_token_is_the_one_that_stands_behind_a_word() -> None:
    """SentencePiece has two tokens for a full stop: alone, with the space before it, and behind a letter."""
    tokenizer = sentencepiece()
    said = tokenizer("a film.", add_special_tokens=False)["input_ids"][-1]
    alone = tokenizer(".", add_special_tokens=False)["input_ids"]
    found = stop_token_ids(tokenizer, changed(PLAIN, stop_tokens=["."]), None).tolist()
    assert said in found and set(alone if len(alone) == 1 else []) <= set(found)


def test_a_stop_token_of_several_tokens_is_refused() -> None:
    with pytest.raises(PipelineError, match=r"'waste of time' is \d tokens"):
        stop_token_ids(byte_level_tokenizer(), changed(PLAIN, stop_tokens=["waste of time"]), None)


def test_without_eos_something_else_has_to_end_a_response() -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(PipelineError, match="no token ends a response"):
        stop_token_ids(tokenizer, PLAIN, GenerationConfig())
    assert stop_token_ids(tokenizer, PLAIN, GenerationConfig(eos_token_id=9)).tolist() == [9]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_every_stored_policy_knows_what_ends_its_responses(
    gemma_like: PreTrainedTokenizerFast, tmp_path: Path, compute: Compute, method: str
) -> None:
    """SFT on the starting model, a policy on SFT, a checkpoint of it, and what is released."""
    turn = gemma_like.convert_tokens_to_ids("<end_of_turn>")
    start, sft, policy, step, release = (tmp_path / name for name in ("start", "sft", "policy", "step", "release"))
    network = LlamaForCausalLM(llama_config(gemma_like))
    network.generation_config.eos_token_id = [2, 9]
    network.save_pretrained(start)
    gemma_like.save_pretrained(start)
    texts, tuning = TextFormat("template", end_of_turn="<end_of_turn>\n"), FULL if method == "full" else LORA

    def trained(folder: Path) -> Policy:
        return load_policy(folder, compute, finetuning=tuning)

    save_policy(trained(start), gemma_like, sft, start=start, root=tmp_path, texts=texts)
    save_checkpoint(trained(sft), step, start=sft, root=tmp_path)
    save_policy(trained(sft), gemma_like, policy, start=sft, root=tmp_path, texts=texts)
    save_whole(policy, release)
    for folder in (start, sft, policy, step, release):
        loaded = load_policy(folder, compute, finetuning=None).causal_lm
        tokenizer = gemma_like if folder == step else load_tokenizer(folder)
        for source in (loaded, stored_generation_config(folder)):
            assert stop_token_ids(tokenizer, PLAIN, source).tolist() == [2, 9, turn], folder.name
