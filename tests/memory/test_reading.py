"""Sampling, scoring and evaluation as the estimate of their memory sees them, and what is advised."""

from dataclasses import replace

import pytest
import torch
from transformers import FalconConfig, Gemma2Config

from pipeline.data.tokens import AUTO_FROZEN_LIMIT, AUTO_LIMIT
from pipeline.memory.conditions import Conditions, Machine
from pipeline.memory.fitting import check_fit, estimate_fit
from pipeline.memory.need import memory_parts, needed_bytes
from pipeline.memory.parts import total
from pipeline.memory.reading import PROGRAMS, Reading, Rows, layer_bytes
from pipeline.memory.readings import HeldModels, MeasuredLengths, collection, evaluation, reference, reward_evaluation
from pipeline.memory.trainings import ppo_work
from pipeline.memory.work import Example, Model, Work
from pipeline.models.footprint import NetworkSize
from pipeline.params.schema import Params, Sampling
from tests.memory.test_fitting import CONFIG
from tests.tiny_models import changed

GIB = 2**30
POLICY = Model.of(CONFIG, writes=True)
CPU = Conditions(torch.device("cpu"), 2, "grouped", AUTO_LIMIT, 6 * GIB, True)


def collected(params: Params, *, batch: int = 256, new: int = 24, prompt: int = 8, samples: int = 4096) -> Reading:
    sampling = changed(params.sampling, batch_size=batch, max_new_tokens=new)
    return collection(POLICY, sampling, prompts=[prompt, 4], samples=samples)


def evaluated(params: Params, *, batch: int = 32, prompt: int = 40, texts: int = 0) -> Reading:
    settings = changed(params.evaluate_policy, batch_size=batch)
    measured = MeasuredLengths([prompt], samples=512, texts=texts)
    return evaluation("evaluate_policy", HeldModels(POLICY, POLICY), measured, settings, params.sampling)


def test_the_cache_is_that_of_all_rows_at_their_full_length(params: Params) -> None:
    """Keys and values of 30 layers, 3 heads of 64, in bf16, for 256 rows of 8 + 24 tokens.

    Beside it are those of 2,048 tokens of prompts, as many as pass at once, until they are written into it.
    """
    parts = memory_parts(collected(params), CPU)
    assert parts["cache"] == 2 * 30 * (3 * 64) * 2 * (256 * 32 + 2048)
    assert parts["weights"] == 2 * POLICY.weights
    assert memory_parts(collected(params, samples=100), CPU)["cache"] == parts["cache"] * 100 // 256


def test_the_packed_head_is_there_beside_the_plain_one_while_tokens_are_drawn(params: Params) -> None:
    head = POLICY.size.vocabulary * POLICY.size.width
    assert memory_parts(collected(params), CPU)["copies"] == 2 * head + 2 * (POLICY.weights - head) + PROGRAMS
    for other in (replace(CPU, number=4), replace(CPU, device=torch.device("cuda"))):
        assert not memory_parts(collected(params), other).get("copies")


def test_more_of_anything_needs_more(params: Params) -> None:
    base, more = collected(params), collected(params, batch=512)
    assert needed_bytes(more, CPU) > needed_bytes(base, CPU)
    assert needed_bytes(collected(params, new=256), CPU) > needed_bytes(base, CPU)
    assert needed_bytes(collected(params, prompt=300), CPU) > needed_bytes(base, CPU)
    measured = evaluated(params)
    for larger in (evaluated(params, batch=512), evaluated(params, texts=4000), replace(measured, policies=3)):
        assert needed_bytes(larger, CPU) > needed_bytes(measured, CPU)
    pairs = [Example.of_pair(100, 50, 50)] * 64
    narrow, wide = (reference(POLICY, batch=16, pairs=pairs, widened=widened) for widened in (False, True))
    assert total(memory_parts(wide, CPU)) - total(memory_parts(narrow, CPU)) == 2 * POLICY.weights


def test_a_gpu_scores_whole_batches_and_a_cpu_parts_of_them(params: Params) -> None:
    """But for evaluate_reward, which tries out whether a batch changes a score."""
    gpu = replace(CPU, device=torch.device("cuda"))
    long = replace(evaluated(params, batch=64, prompt=1000), sampled=None, read=None)
    assert memory_parts(long, gpu)["activations"] > 4 * memory_parts(long, CPU)["activations"]
    few, many = (reward_evaluation(POLICY, batch=batch, longest=512, number=4, texts=999) for batch in (8, 64))
    larger, smaller = (memory_parts(work, CPU)["activations"] for work in (many, few))
    assert larger == pytest.approx(8 * smaller)


@pytest.mark.parametrize("gib", [1, 2, 3, 6, 24])
def test_the_advice_is_enough_or_says_that_it_is_not(params: Params, gib: int) -> None:
    works = [
        collected(params, batch=4096, new=1024, prompt=1000),
        evaluated(params, batch=512, prompt=1000, texts=2000),
        reference(POLICY, batch=512, pairs=[Example.of_pair(500, 500, 500)] * 512, widened=False),
        reward_evaluation(POLICY, batch=512, longest=1024, number=4, texts=9999),
    ]
    for work in works:
        fit = estimate_fit(work, CPU, limit=gib * GIB)
        if fit.fits:
            assert not fit.remedies
            continue
        least = fit.remedies[-1].need if fit.remedies else fit.need
        assert least <= fit.limit or "smaller model" in fit.problem
        keys = [remedy.key for remedy in fit.remedies]
        assert len(set(keys)) == len(keys) and all(key in fit.problem for key in keys)
        allowed = {"sampling.batch_size", "sampling.max_new_tokens", f"{work.section}.batch_size"}
        allowed.add("runtime.max_forward_tokens")
        assert set(keys) <= allowed


def test_a_smaller_batch_is_advised_by_the_key_that_sets_it(params: Params) -> None:
    def tried(batch: int) -> Reading:
        return reward_evaluation(POLICY, batch=batch, longest=512, number=4, texts=512)

    fit = estimate_fit(tried(512), CPU, limit=2 * GIB)
    (remedy,) = fit.remedies
    assert remedy.key == "evaluate_reward.batch_size" and remedy.value in (256, 128, 64, 32, 16)
    assert remedy.need == needed_bytes(tried(int(str(remedy.value))), CPU)


def test_batches_that_pass_whole_are_bounded_before_they_are_made_smaller(params: Params) -> None:
    pairs = [Example.of_pair(500, 500, 500)] * 512
    work = reference(POLICY, batch=512, pairs=pairs, widened=False)
    (remedy,) = estimate_fit(work, CPU, limit=2 * GIB).remedies
    assert (remedy.key, remedy.value) == ("runtime.max_forward_tokens", "auto")
    bounded = replace(CPU, frozen=AUTO_FROZEN_LIMIT)
    assert remedy.need == needed_bytes(work, bounded) and estimate_fit(work, bounded, limit=2 * GIB).fits


def test_passes_without_gradient_are_bounded_as_the_stages_bound_them(params: Params) -> None:
    """4,096 tokens are four responses of 1,000, which are two rows of a pair; 8,192 pass whole."""
    pairs, limit = [Example.of_pair(500, 500, 500)] * 512, AUTO_FROZEN_LIMIT
    for batch, rows in ((512, 2), (5, 2), (4, 4), (3, 3)):
        read = reference(POLICY, batch=batch, pairs=pairs, widened=False).read
        assert read is not None and read.bounded(limit).count == rows
        assert read.bounded(None).count == batch
    assert Rows(9, 1000).bounded(limit).count == 4 and Rows(8, 1000).bounded(limit).count == 8
    assert Rows(2, 9000).bounded(limit).count == 1
    bounded, gpu = replace(CPU, frozen=limit), replace(CPU, frozen=limit, device=torch.device("cuda"))
    long = replace(evaluated(params, batch=64, prompt=1000), sampled=None, read=None)
    four = replace(evaluated(params, batch=4, prompt=1000), sampled=None, read=None)
    assert (
        memory_parts(long, gpu)["activations"]
        == memory_parts(four, gpu)["activations"]
        < (memory_parts(long, replace(gpu, frozen=None))["activations"])
    )
    one = replace(evaluated(params, batch=1, prompt=1000), sampled=None, read=None)
    assert memory_parts(long, bounded)["activations"] == memory_parts(one, bounded)["activations"]


def test_what_is_done_is_said(params: Params, capsys: pytest.CaptureFixture[str]) -> None:
    check_fit(collected(params), params.runtime)
    assert "memory  needs about" in capsys.readouterr().out
    assert collected(params).doing == "sampling"
    assert reference(POLICY, batch=1, pairs=[Example.of_pair(5, 5, 5)], widened=False).doing == "scoring"


def test_conditions_of_another_machine_ask_nothing_of_this_one(params: Params) -> None:
    there = Conditions.of(changed(params.runtime, device="cpu"), Machine("cuda", 40 * GIB))
    assert (there.device.type, there.number, there.attention) == ("cuda", 2, "flex")
    assert there.kept == 10 * GIB and there.memory == 40 * GIB
    exact = Conditions.of(changed(params.runtime, precision="fp32", recompute=True), Machine("cuda", 40 * GIB))
    assert (exact.number, exact.kept) == (4, 0)


def test_a_family_without_flex_attention_is_counted_with_plain_attention_on_a_gpu_that_compiles(params: Params) -> None:
    """`runtime.attention: auto` takes flex there, which Falcon's own attention classes do not know."""
    falcon = Model.of(FalconConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=4), writes=True)
    pairs = [Example.of_pair(500, 500, 500)] * 8
    works = [reference(model, batch=4, pairs=pairs, widened=False) for model in (falcon, POLICY)]
    auto, plain = (
        Conditions.of(changed(params.runtime, attention=one), Machine("cuda", 40 * GIB)) for one in ("auto", "eager")
    )
    assert needed_bytes(works[0], auto) == needed_bytes(works[0], plain)
    assert needed_bytes(works[1], auto) < needed_bytes(works[1], plain)


def test_rows_of_no_samples_are_one(params: Params) -> None:
    """Nothing to sample divides by nothing."""
    assert collected(params, samples=0).sampled == Rows(1, 8 + 24)


def test_a_policy_is_counted_with_the_prompts_that_it_reads_and_a_reward_model_with_whole_ones(params: Params) -> None:
    cut = changed(params.sampling, max_prompt_tokens=100)
    settings, ppo = params.evaluate_policy, params.optimize.ppo
    models = HeldModels(POLICY, POLICY)

    def works(sampling: Sampling, prompt: int) -> list[Reading | Work]:
        limit = sampling.max_prompt_tokens
        told = {"prompts": [prompt], "new_tokens": 24, "max_prompt_tokens": limit}
        return [
            collection(POLICY, sampling, prompts=[prompt], samples=4096),
            evaluation("evaluate_policy", models, MeasuredLengths([prompt], samples=512), settings, sampling),
            ppo_work(CONFIG, CONFIG, ppo, **told),
        ]

    for short, long, shortened in zip(
        works(params.sampling, 100), works(params.sampling, 4000), works(cut, 4000), strict=True
    ):
        need = [total(memory_parts(work, CPU)) for work in (short, long, shortened)]
        assert need[0] <= need[2] < need[1]
    assert works(cut, 4000)[0] == works(cut, 100)[0]
    assert evaluated(params, prompt=4000).scored == works(cut, 4000)[1].scored


def test_a_reward_model_with_score_caps_needs_the_squares_of_plain_attention() -> None:
    """Whatever the machine computes others with."""
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    capped, plain = (
        NetworkSize.of(Gemma2Config(**sizes, head_dim=16, attn_logit_softcapping=cap)) for cap in (50.0, None)
    )
    rows, number = Rows(2, 2048), 2
    conditions = Conditions(torch.device("cuda"), number, "sdpa", None, None)
    squares = 2 * 2048 * (2 * 4 * 2048 - 2048) * number
    assert layer_bytes(capped, rows, conditions, number) - layer_bytes(plain, rows, conditions, number) == squares
