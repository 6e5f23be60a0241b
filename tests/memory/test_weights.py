"""Bytes of weights and moments in fewer bits, worked by hand, and where the estimate has them."""

from dataclasses import replace

import pytest
import torch
from transformers import BertConfig, LlamaConfig

from pipeline.data.tokens import AUTO_FROZEN_LIMIT, AUTO_LIMIT
from pipeline.memory.conditions import Conditions
from pipeline.memory.need import memory_parts
from pipeline.memory.readings import reference
from pipeline.memory.trainings import dpo_work, ppo_work, reward_work, sft_work
from pipeline.memory.weights import moment_bytes, scorer_number, weight_bytes, widest_layer
from pipeline.memory.work import Example, Model, Work
from pipeline.models.reward_size import LARGE
from pipeline.params.schema import Params
from tests.tiny_models import changed

CPU, GPU = torch.device("cpu"), torch.device("cuda")
CONFIG = LlamaConfig(
    hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8,
    vocab_size=128256, tie_word_embeddings=True,
)  # fmt: skip
MODEL = Model.of(CONFIG, writes=True)
MATRICES = 16 * (2 * 2048 * 2048 + 2 * 2048 * 512 + 3 * 2048 * 8192)
VOCABULARY = 128256 * 2048
ON = {
    device: Conditions(torch.device(device), 2, "sdpa", AUTO_LIMIT, 0, memory=24 << 30, frozen=AUTO_FROZEN_LIMIT)
    for device in ("cpu", "cuda")
}
TEXTS, PAIRS = [Example.of_text(512, 512)] * 64, [Example.of_pair(512, 512, 512)] * 64
SCORED = [Example.of_pair(512, 512, 512, writes=False)] * 64


def test_weights_in_4_bits_are_half_a_byte_and_their_scales() -> None:
    """64 weights are 32 bytes of codes and a scale of one; 256 scales have one of four bytes."""
    assert weight_bytes(MODEL, 2) == 2 * (MATRICES + VOCABULARY)
    blocks = MATRICES // 64
    assert weight_bytes(MODEL, 2, "nf4") == MATRICES // 2 + blocks + 4 * blocks // 256 + 2 * VOCABULARY
    assert widest_layer(MODEL.size) == 2048 * 8192


@pytest.mark.parametrize(
    ("name", "cpu", "gpu"),
    [("adamw", 8 << 20, 8 << 20), ("adamw_8bit", (2 << 20) + 8 * 4096, (2 << 20) + 8 * 4096),
     ("paged_adamw_8bit", (2 << 20) + 8 * 4096, 0)],
)  # fmt: skip
def test_moments_in_8_bits_are_two_bytes_and_their_scales(name: str, cpu: int, gpu: int) -> None:
    """Of a million weights in blocks of 256, each with a scale of four bytes for either moment; pages may leave."""
    assert moment_bytes(1 << 20, name, CPU) == cpu and moment_bytes(1 << 20, name, GPU) == gpu  # type: ignore[arg-type]


def test_large_decoders_score_in_the_format_of_the_products() -> None:
    small = Model.of(LlamaConfig(hidden_size=64, num_hidden_layers=2, intermediate_size=128), writes=False)
    encoder = Model.of(BertConfig(hidden_size=2048, intermediate_size=8192, num_hidden_layers=24), writes=False)
    assert encoder.weights > 500_000_000 > small.weights
    assert [scorer_number(model, stored=4, products=2) for model in (MODEL, small, encoder)] == [2, 4, 4]


def tuned(
    params: Params, kind: str, *, quantization: str = "none", optimizer: str = "adamw", method: str = "lora"
) -> Work:
    sections = {"sft": params.train_sft, "reward": params.train_reward, "dpo": params.optimize.dpo}
    section = sections.get(kind, params.optimize.ppo)
    finetuning = changed(section.finetuning, method=method, quantization=quantization)
    settings = changed(section, finetuning=finetuning, optimizer=optimizer)
    if kind == "sft":
        return sft_work(CONFIG, settings, TEXTS)
    if kind == "reward":
        return reward_work(CONFIG, settings, SCORED)
    if kind == "dpo":
        return dpo_work(CONFIG, settings, PAIRS)
    return ppo_work(CONFIG, CONFIG, settings, prompts=[256] * 64, new_tokens=128)


@pytest.mark.parametrize("kind", ["sft", "dpo", "ppo"])
def test_frozen_weights_in_4_bits_are_in_the_estimate(params: Params, kind: str) -> None:
    """And one layer of them in the format of the products; adapters are not merged while PPO samples."""
    plain, small = (memory_parts(tuned(params, kind, quantization=one), ON["cuda"]) for one in ("none", "nf4"))
    saved = weight_bytes(MODEL, 2) - weight_bytes(MODEL, 2, "nf4")
    assert plain["weights"] - small["weights"] == saved
    merged = 2 * MATRICES if kind == "ppo" else 0
    assert small.get("copies", 0) - plain.get("copies", 0) == 2 * widest_layer(MODEL.size) - merged


def test_a_cpu_reads_weights_before_it_quantises_them(params: Params) -> None:
    work = replace(tuned(params, "sft", quantization="nf4"), examples=(Example.of_text(4, 4),))
    assert memory_parts(work, ON["cpu"])["weights"] == weight_bytes(MODEL, 2) + weight_bytes(MODEL, 2, "nf4")
    assert memory_parts(work, ON["cuda"])["weights"] < weight_bytes(MODEL, 2, "nf4") * 1.1


def test_moments_in_8_bits_are_in_the_estimate(params: Params) -> None:
    weights = MODEL.weights
    optimiser = {
        name: memory_parts(tuned(params, "dpo", optimizer=name, method="full"), ON["cuda"]).get("optimiser", 0)
        for name in ("adamw", "adamw_8bit", "paged_adamw_8bit")
    }
    assert optimiser == {
        "adamw": 8 * weights,
        "adamw_8bit": moment_bytes(weights, "adamw_8bit", GPU),
        "paged_adamw_8bit": 0,
    }


def test_a_large_reward_model_stays_in_the_format_of_the_products(params: Params) -> None:
    """In training, where layers are merged one by one, and as the scorer of PPO; a small one goes on in fp32."""
    scorer, parts = Model.of(CONFIG, writes=False), memory_parts(tuned(params, "reward"), ON["cpu"])
    adapters = scorer.size.adapter_weights(params.train_reward.finetuning.lora_r)
    assert parts["weights"] == 2 * scorer.weights + 4 * adapters
    # some of the fp32 layer and of what is added to it find places that the steps have left
    assert 2 * widest_layer(scorer.size) <= parts["copies"] <= 8 * widest_layer(scorer.size)
    ppo = tuned(params, "ppo")
    assert ppo.rollout is not None
    few = replace(scorer, weights=LARGE - 1)
    small = replace(ppo, rollout=replace(ppo.rollout, scorer=few))
    large, other = (memory_parts(work, ON["cuda"])["weights"] for work in (ppo, small))
    assert large - other == 2 * scorer.weights - 4 * few.weights


@pytest.mark.parametrize(("device", "offloads"), [("cuda", True), ("cpu", False)])
def test_frozen_roles_that_wait_elsewhere_are_not_in_the_estimate(params: Params, device: str, offloads: bool) -> None:
    """Trained in full, an update needs most: without reference and reward model. On a CPU they have nowhere to go."""
    held, idle = (
        memory_parts(replace(tuned(params, "ppo", method="full"), offload_idle=idle), ON[device])["weights"]
        for idle in (False, True)
    )
    scorer = Model.of(CONFIG, writes=False)
    assert held - idle == (4 * MODEL.weights + 2 * scorer.weights if offloads else 0)


def test_a_phase_that_reads_a_frozen_role_may_need_most(params: Params) -> None:
    """A reward model far larger than the policy is there while it scores, and the reference is not."""
    work = replace(tuned(params, "ppo", method="full"), offload_idle=True)
    assert work.rollout is not None
    large = replace(work.rollout.scorer, weights=20 * MODEL.weights)
    scoring = memory_parts(replace(work, rollout=replace(work.rollout, scorer=large)), ON["cuda"])
    assert scoring["weights"] == 4 * MODEL.weights + 2 * large.weights and "gradients" not in scoring


def test_a_small_reward_model_is_widened_once(params: Params) -> None:
    """It is loaded in the format of the products, and in fp32 once it is merged; in fp32 it is so from the start."""
    pair = Example.of_pair(2, 1, 1, writes=False)
    few = replace(tuned(params, "reward"), model=replace(MODEL, weights=LARGE - 1), examples=(pair,), batch=1)
    copies = {device: memory_parts(few, ON[device])["copies"] / (LARGE - 1) for device in ("cpu", "cuda")}
    assert 3.5 < copies["cpu"] <= 4 and copies["cuda"] == 2
    assert "copies" not in memory_parts(few, replace(ON["cpu"], number=4))


def test_a_reference_has_the_weights_of_what_is_trained(params: Params) -> None:
    plain, small = (
        memory_parts(
            reference(MODEL, batch=1, pairs=PAIRS, widened=False, quantization=one),  # type: ignore[arg-type]
            ON["cuda"],
        )
        for one in ("none", "nf4")
    )
    assert plain["weights"] - small["weights"] == weight_bytes(MODEL, 2) - weight_bytes(MODEL, 2, "nf4")
    assert small["copies"] == 2 * widest_layer(MODEL.size)
