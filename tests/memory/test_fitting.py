"""The estimate of a training's memory, and what is advised where it does not fit."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig

from pipeline.data.tokens import AUTO_LIMIT
from pipeline.errors import PipelineError
from pipeline.memory import fitting
from pipeline.memory.conditions import Conditions
from pipeline.memory.fitting import check_fit, estimate_fit
from pipeline.memory.need import needed_bytes
from pipeline.memory.trainings import (
    dpo_work,
    ppo_work,
    prompt_tokens,
    reward_examples,
    reward_work,
    sft_work,
)
from pipeline.memory.work import Example, planned_steps
from pipeline.models.folders import config_of
from pipeline.models.reward_loading import load_reward_tokenizer
from pipeline.models.reward_texts import RewardTexts
from pipeline.params.schema import Params
from tests.passages import ended
from tests.tiny_models import changed

GIB = 2**30
CONFIG = LlamaConfig(
    hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
    vocab_size=49152, tie_word_embeddings=True,
)  # fmt: skip
CONDITIONS = Conditions(torch.device("cpu"), 2, "grouped", AUTO_LIMIT, 6 * GIB, True)
WHOLE = replace(CONDITIONS, limit=None, kept=None)


def texts(count: int, length: int) -> list[Example]:
    return [Example.of_text(8, length - 8)] * count


def test_what_fits_is_said_in_one_line(params: Params, capsys: pytest.CaptureFixture[str]) -> None:
    check_fit(sft_work(CONFIG, params.train_sft, texts(100, 64)), params.runtime)
    assert "memory  needs about" in capsys.readouterr().out


def test_what_does_not_fit_is_refused_with_a_change_that_helps(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    work = sft_work(CONFIG, changed(params.train_sft, max_length=8192), texts(100, 8192))
    monkeypatch.setattr(fitting, "usable_memory", lambda _: 3 * GIB)
    runtime = changed(params.runtime, max_forward_tokens=None, recompute=False)
    both = r"runtime\.max_forward_tokens: auto and runtime\.recompute: true"
    with pytest.raises(PipelineError, match=rf"there are 3\.0 GiB\. Set {both} \(about \d\.\d GiB\)"):
        check_fit(work, runtime)


def test_what_the_estimate_is_not_sure_of_is_a_warning_with_the_same_advice(
    params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = sft_work(CONFIG, changed(params.train_sft, max_length=8192), texts(100, 8192))
    runtime = changed(params.runtime, max_forward_tokens=None, recompute=False)
    need = estimate_fit(work, Conditions.of(runtime), limit=GIB).need
    monkeypatch.setattr(fitting, "usable_memory", lambda _: int(need / 1.5))
    check_fit(work, runtime)
    assert "may not be enough: training needs about" in (said := capsys.readouterr().out)
    assert "Set runtime.recompute: true" in said


@pytest.mark.parametrize(
    "gib",
    [
        pytest.param(1, marks=pytest.mark.slow(beside="test_the_advice_is_enough_or_says_that_it_is_not")),
        2,
        3,
        6,
        12,
        24,
    ],
)
@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_advice_is_enough_or_says_that_it_is_not(params: Params, gib: int, method: str) -> None:
    tuning = changed(params.train_sft.finetuning, method=method)
    dpo = changed(params.optimize.dpo, finetuning=tuning, per_device_train_batch_size=32)
    ppo = changed(params.optimize.ppo, finetuning=tuning, critic="policy")
    works = [
        sft_work(CONFIG, changed(params.train_sft, finetuning=tuning, max_length=4096), texts(999, 4096)),
        dpo_work(CONFIG, dpo, [Example.of_pair(1000, 1000, 1000)] * 999),
        reward_work(
            CONFIG,
            changed(params.train_reward, finetuning=tuning, max_length=4096),
            [Example.of_pair(2000, 2000, 2000, writes=False)] * 99,
        ),
        ppo_work(CONFIG, CONFIG, ppo, prompts=[900] * 64, new_tokens=512),
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
    base = dpo_work(CONFIG, dpo, [Example.of_pair(86, 85, 85)] * 999)
    more = [
        replace(base, examples=(Example.of_pair(172, 170, 170),) * 999),
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


def test_batches_are_those_of_the_trainer_and_not_the_worst_that_parameters_allow(params: Params) -> None:
    """Pairs of 625 tokens pass one by one: eight of them are above the limit, and two above that of a part."""
    work = dpo_work(CONFIG, params.optimize.dpo, [Example.of_pair(200, 212, 213)] * 40)
    passes = {(one.rows, one.length) for step in planned_steps(work, AUTO_LIMIT) for one in step}
    assert passes == {(1, 625)}
    short = dpo_work(
        CONFIG, params.optimize.dpo, [Example.of_pair(200, 212, 213)] * 40 + [Example.of_pair(4, 30, 30)] * 8
    )
    assert (8, 64) in {(one.rows, one.length) for step in planned_steps(short, AUTO_LIMIT) for one in step}
    assert needed_bytes(work, CONDITIONS) == needed_bytes(short, CONDITIONS)


def test_of_many_examples_the_largest_decide_as_of_all(params: Params) -> None:
    lengths = [16 + at % 500 for at in range(20_000)]
    work = sft_work(CONFIG, params.train_sft, [Example.of_text(8, length - 8) for length in lengths])
    assert len(work.examples) < 2_500 and work.longest == max(lengths)
    whole = replace(work, examples=tuple(Example.of_text(8, length - 8) for length in lengths))
    assert needed_bytes(work, WHOLE) == pytest.approx(needed_bytes(whole, WHOLE), rel=0.02)


def test_responses_that_may_end_early_let_ppo_s_batches_pass_whole(params: Params) -> None:
    settings = changed(params.optimize.ppo, per_device_train_batch_size=16)
    for prompts, tokens in (([20] * 64, range(2000, 2049)), ([400] * 64, range(900, 1025)), ([9] * 64, range(1, 2049))):
        work = ppo_work(CONFIG, CONFIG, settings, prompts=prompts, new_tokens=256)
        (step,) = planned_steps(work, AUTO_LIMIT)
        assert step[0].tokens in tokens


def test_an_encoder_reads_the_sides_of_a_pair_in_rows_of_their_own(
    policy_folder: Path, encoder_folder: Path, tmp_path: Path, params: Params
) -> None:
    """Configs and tokenizers are enough: no weights are loaded."""
    for folder, decoder in ((policy_folder, True), (encoder_folder, False)):
        bare = tmp_path / folder.name
        shutil.copytree(folder, bare, ignore=shutil.ignore_patterns("*.safetensors"))
        config, tokenizer = config_of(bare), load_reward_tokenizer(bare)
        pairs = [tuple(ended(pair)) for pair in (("This film was a joy", "This film was dull"), ("film", "music"))]
        read, short = (RewardTexts(tokenizer, max_length=length) for length in (64, 2))
        one, other = reward_examples(config, read, pairs, shared_prompts=True)
        encoded = read.encode(pairs[0])
        assert one.planned == sum(map(len, encoded))
        assert (one.rows == tuple(map(len, encoded))) != decoder and len(other.rows) == 2
        assert sum(reward_examples(config, short, pairs, shared_prompts=False)[0].rows) == 4
        assert needed_bytes(reward_work(config, params.train_reward, [one, other]), CONDITIONS) > 0
    assert prompt_tokens(load_reward_tokenizer(policy_folder), []) == []
