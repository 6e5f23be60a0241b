"""The estimate of a training's memory, and what is advised where it does not fit."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, LlamaConfig

from pipeline.data.tokens import AUTO_LIMIT
from pipeline.errors import PipelineError
from pipeline.models.reward import load_reward_tokenizer
from pipeline.params.schema import Params
from pipeline.stage import fitting
from pipeline.stage.fitting import check_fit, estimate_fit
from pipeline.stage.memory_need import Conditions, needed_bytes
from pipeline.stage.trainings import config_of, dpo_work, longest_tokens, ppo_work, reward_work, sft_work
from tests.tiny_models import changed

GIB = 2**30
CONFIG = LlamaConfig(
    hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
    vocab_size=49152, tie_word_embeddings=True,
)  # fmt: skip
CONDITIONS = Conditions(torch.device("cpu"), 2, "grouped", AUTO_LIMIT, 6 * GIB, True)
WHOLE = replace(CONDITIONS, limit=None, kept=None)


TEXT = "This film was a joy from start to end"


def test_what_fits_is_said_in_one_line(params: Params, capsys: pytest.CaptureFixture[str]) -> None:
    check_fit(sft_work(CONFIG, params.train_sft, examples=100, longest=64), params.runtime)
    assert "memory  needs about" in capsys.readouterr().out


def test_what_does_not_fit_is_refused_with_a_change_that_helps(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    work = sft_work(CONFIG, changed(params.train_sft, max_length=8192), examples=100, longest=8192)
    monkeypatch.setattr(fitting, "usable_memory", lambda _: 3 * GIB)
    runtime = changed(params.runtime, max_forward_tokens=None, recompute=False)
    with pytest.raises(PipelineError, match=r"there are 3\.0 GiB\. Set runtime\.recompute: true.* \(about \d\.\d GiB"):
        check_fit(work, runtime)


def test_what_the_estimate_is_not_sure_of_is_a_warning_with_the_same_advice(
    params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = sft_work(CONFIG, changed(params.train_sft, max_length=8192), examples=100, longest=8192)
    runtime = changed(params.runtime, max_forward_tokens=None, recompute=False)
    need = estimate_fit(work, Conditions.of(runtime), limit=GIB).need
    monkeypatch.setattr(fitting, "usable_memory", lambda _: int(need / 1.5))
    check_fit(work, runtime)
    assert "may not be enough: training needs about" in (said := capsys.readouterr().out)
    assert "Set runtime.recompute: true" in said


@pytest.mark.parametrize("gib", [1, 2, 3, 6, 12, 24])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_advice_is_enough_or_says_that_it_is_not(params: Params, gib: int, method: str) -> None:
    tuning = changed(params.train_sft.finetuning, method=method)
    dpo = changed(params.optimize.dpo, finetuning=tuning, per_device_train_batch_size=32)
    ppo = changed(params.optimize.ppo, finetuning=tuning, critic="policy")
    works = [
        sft_work(CONFIG, changed(params.train_sft, finetuning=tuning, max_length=4096), examples=999, longest=4096),
        dpo_work(CONFIG, dpo, pairs=999, longest=3000),
        reward_work(CONFIG, changed(params.train_reward, finetuning=tuning, max_length=4096), pairs=99, longest=4096),
        ppo_work(CONFIG, CONFIG, ppo, section="optimize.ppo", prompt=900, new_tokens=512),
    ]
    for work in works:
        fit = estimate_fit(work, WHOLE, limit=gib * GIB)
        if fit.fits:
            assert not fit.remedies
            continue
        least = fit.remedies[-1].need if fit.remedies else fit.need
        assert least <= fit.limit or "smaller model" in fit.problem
        keys = [remedy.key for remedy in fit.remedies]
        assert len(set(keys)) == len(keys) and all(key in fit.problem for key in keys)


def test_more_of_anything_needs_more(params: Params) -> None:
    dpo = params.optimize.dpo
    base = dpo_work(CONFIG, dpo, pairs=999, longest=256)
    more = [
        replace(base, length=512),
        replace(base, batch=base.batch * 4),
        replace(base, frozen=1),
        replace(base, critics=1),
        replace(base, finetuning=changed(dpo.finetuning, method="full")),
        replace(base, finetuning=changed(dpo.finetuning, lora_r=128)),
    ]
    need = needed_bytes(base, WHOLE)
    assert all(needed_bytes(one, WHOLE) > need for one in more)
    assert needed_bytes(base, replace(WHOLE, kept=0)) < need
    large = replace(base, batch=64)
    assert needed_bytes(large, CONDITIONS) < needed_bytes(large, WHOLE)
    assert needed_bytes(base, replace(WHOLE, fused_logprobs=False)) > need


def test_an_encoder_reads_the_sides_of_a_pair_in_rows_of_their_own(params: Params) -> None:
    encoder = BertConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128)
    one, other = (reward_work(config, params.train_reward, pairs=8, longest=100) for config in (encoder, CONFIG))
    assert (one.rows, one.length, one.paired) == (2, 100, False)
    assert (other.rows, other.length, other.paired) == (1, 200, True)


def test_folders_say_what_is_needed_without_their_weights(
    policy_folder: Path, encoder_folder: Path, tmp_path: Path, params: Params
) -> None:
    for folder, decoder in ((policy_folder, True), (encoder_folder, False)):
        bare = tmp_path / folder.name
        shutil.copytree(folder, bare, ignore=shutil.ignore_patterns("*.safetensors"))
        tokenizer = load_reward_tokenizer(bare)
        longest, alone, short = (longest_tokens(tokenizer, texts) for texts in (["film", TEXT, ""], [TEXT], ["film"]))
        assert longest == alone > short
        work = reward_work(config_of(bare), params.train_reward, pairs=8, longest=longest)
        assert work.paired == decoder and needed_bytes(work, CONDITIONS) > 0
    assert longest_tokens(tokenizer, []) == 1
