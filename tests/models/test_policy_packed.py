"""Policies and reward models with packed weights: the same log-probs, samples and scores to the bit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.data.passages import Passage
from pipeline.data.tokens import TokenizedExample, collate
from pipeline.kernels import packed_weights
from pipeline.kernels.packed_weights import PackedLinear, packs
from pipeline.models import reward_loading
from pipeline.models.chunked_sampling import sample_batch
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy, load_policy, load_reference, load_tokenizer
from pipeline.models.reward_loading import load_reward_model
from pipeline.models.sampling import Sampler
from pipeline.params.schema import Sampling
from tests.tiny_models import LORA

BATCH = collate([TokenizedExample([11, 12, 13], [20, 21, 2]), TokenizedExample([30], [31, 32])], pad_token_id=0)
pytestmark = pytest.mark.skipif(
    not packs(torch.zeros(256, 256, dtype=torch.bfloat16)), reason="this processor or this torch packs nothing"
)


@pytest.fixture
def computes(compute: Compute, monkeypatch: pytest.MonkeyPatch) -> list[Compute]:
    """In bf16, without and with packed weights, of which no size is too small."""
    monkeypatch.setattr(packed_weights, "_SMALLEST", 1)
    return [replace(compute, dtype=torch.bfloat16, packed_weights=packed) for packed in (False, True)]


def packed_layers(network: torch.nn.Module) -> int:
    return sum(isinstance(module, PackedLinear) and module.packed is not None for module in network.modules())


def sampled(policy: Policy, folder: Path) -> list[torch.Tensor]:
    sampling = Sampling(max_new_tokens=6, temperature=1.0, stop_tokens=[], batch_size=8, max_prompt_tokens=None)
    sampler = Sampler.of(policy, load_tokenizer(folder), sampling)
    with policy.merged():
        samples = sample_batch(sampler, ["one", "two words", "three of them"], torch.Generator().manual_seed(0))
    return [samples.batch.response_ids, samples.logprobs]


def test_a_frozen_policy_reads_and_samples_the_same(policy_folder: Path, computes: list[Compute]) -> None:
    results = []
    for compute in computes:
        policy = load_policy(policy_folder, compute, finetuning=None)
        assert (packed_layers(policy) > 5) == compute.packed_weights
        assert not isinstance(policy.causal_lm.get_output_embeddings(), PackedLinear)
        with torch.no_grad():
            results.append([policy(BATCH).logprobs, *sampled(policy, policy_folder)])
        assert (packed_layers(policy) > 5) == compute.packed_weights, "nothing has unpacked them"
        results[-1] += [policy.state_dict()[name] for name in sorted(policy.state_dict())]
    assert all(torch.equal(plain, packed) for plain, packed in zip(*results, strict=True))


def test_a_policy_with_adapters_samples_the_same_and_trains_on(policy_folder: Path, computes: list[Compute]) -> None:
    results = []
    for compute in computes:
        policy = load_policy(policy_folder, compute, finetuning=LORA)
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                torch.nn.init.constant_(parameter, 0.05)
        apart = policy(BATCH).logprobs
        results.append([apart, *sampled(policy, policy_folder)])
        assert torch.equal(policy(BATCH).logprobs, apart)
        assert packed_layers(policy) == 0, "what training reads stays plain"
        results[-1] += list(policy.state_dict().values())
    assert all(torch.equal(plain, packed) for plain, packed in zip(*results, strict=True))


def test_a_reference_is_packed(policy_folder: Path, computes: list[Compute]) -> None:
    with torch.no_grad():
        plain, packed = (load_reference(policy_folder, compute, method="lora") for compute in computes)
        assert packed_layers(packed) > 5
        assert torch.equal(plain(BATCH).logprobs, packed(BATCH).logprobs)


def test_a_reward_model_that_only_scores_is_packed(
    decoder_folder: Path, computes: list[Compute], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reward_loading, "frozen_dtype", lambda folder, compute: compute.dtype)  # as of a large one
    passages = [Passage("one of two", True), Passage("another", False)]
    scores = []
    for compute in computes:
        for alone in (False, True):
            torch.manual_seed(0)  # of the head, which this folder has not
            model = load_reward_model(decoder_folder, compute, scores_alone=alone)
            assert (packed_layers(model) > 5) == (alone and compute.packed_weights)
            scores.append(model.score(passages, batch_size=2))
    assert all(torch.equal(scores[0], other) for other in scores[1:])
