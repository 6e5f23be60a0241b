"""DPO of a tiny model: it starts at ln 2, moves the pairs apart, and refuses a reference that is not its own."""

import math
from dataclasses import replace

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from pipeline.data.preferences import TextPair
from pipeline.data.tokens import TokenizedExample, tokenize_example
from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.models.scoring import score_responses
from pipeline.params.schema import Dpo, Finetuning, Params
from pipeline.training.dpo import ScoredPair, pair_logps, train_dpo
from tests.conftest import PolicyMaker
from tests.tiny_models import FULL, LORA, changed
from tests.training.recording import Recorder, assert_only_trainable_parameters_changed, assert_same_bytes, snapshot


@pytest.fixture
def settings(params: Params) -> Dpo:
    return changed(
        params.optimize.dpo,
        learning_rate=2e-3,
        warmup_ratio=0.0,
        num_train_epochs=2,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=1,
        frontier_checkpoints=1,
    )


@pytest.fixture
def pairs(
    make_policy: PolicyMaker, compute: Compute, tokenizer: PreTrainedTokenizerBase, text_pairs: list[TextPair]
) -> list[ScoredPair]:
    """Eight pairs with the reference log-probs of the tiny policy, as score_reference computes them."""
    examples: list[TokenizedExample] = []
    for pair in text_pairs:
        for text in (pair.chosen, pair.rejected):
            prompt = " ".join(text.split()[:2])
            examples.append(tokenize_example(tokenizer, prompt, text.removeprefix(prompt), ended=True))
    logps = score_responses(make_policy(), examples, compute, pad_token_id=0, batch_size=3, title="reference")
    return [ScoredPair(examples[i], examples[i + 1], logps[i], logps[i + 1]) for i in range(0, len(examples), 2)]


def train(policy: Policy, pairs: list[ScoredPair], settings: Dpo, compute: Compute, *, seed: int = 0) -> Recorder:
    recorder = Recorder()
    train_dpo(policy, pairs, settings, compute, pad_token_id=0, seed=seed, **recorder.callbacks())
    return recorder


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_every_trainable_parameter_changes_and_no_other(
    make_policy: PolicyMaker, pairs: list[ScoredPair], settings: Dpo, compute: Compute, finetuning: Finetuning
) -> None:
    policy = make_policy(finetuning)
    before = snapshot(policy)
    recorder = train(policy, pairs, settings, compute)
    assert_only_trainable_parameters_changed(policy, before)
    assert recorder.steps == [1, 2, 3, 4]
    assert sum(recorder.tokens) == 2 * sum(map(len, pairs))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_the_first_loss_is_ln_2(
    make_policy: PolicyMaker, pairs: list[ScoredPair], settings: Dpo, compute: Compute, label_smoothing: float
) -> None:
    first = train(make_policy(LORA), pairs, changed(settings, label_smoothing=label_smoothing), compute).rows[0]
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-5)
    for name in ("margin", "chosen_rewards", "rejected_rewards", "chosen_logps_change", "rejected_logps_change"):
        assert first[name] == pytest.approx(0.0, abs=1e-3), name


def test_pairs_move_apart(make_policy: PolicyMaker, pairs: list[ScoredPair], settings: Dpo, compute: Compute) -> None:
    policy = make_policy(LORA)
    recorder = train(policy, pairs, changed(settings, num_train_epochs=10), compute)
    last = recorder.rows[-1]
    assert last["accuracy"] == 1.0
    assert last["loss"] < 0.6
    assert last["margin"] == pytest.approx(last["chosen_rewards"] - last["rejected_rewards"])
    assert last["chosen_rewards"] == pytest.approx(settings.beta * last["chosen_logps_change"])
    with torch.no_grad():
        chosen, rejected = pair_logps(policy, pairs, compute, pad_token_id=0)
    changes = (chosen - torch.tensor([pair.ref_chosen_logps for pair in pairs])) - (
        rejected - torch.tensor([pair.ref_rejected_logps for pair in pairs])
    )
    assert bool((changes > 0).all())


def test_log_probs_of_both_sides_come_in_order(
    make_policy: PolicyMaker, pairs: list[ScoredPair], compute: Compute
) -> None:
    with torch.no_grad():
        chosen, rejected = pair_logps(make_policy(), pairs, compute, pad_token_id=0)
    assert chosen.tolist() == pytest.approx([pair.ref_chosen_logps for pair in pairs], abs=1e-3)
    assert rejected.tolist() == pytest.approx([pair.ref_rejected_logps for pair in pairs], abs=1e-3)


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_accumulation_equals_one_batch(
    make_policy: PolicyMaker, pairs: list[ScoredPair], settings: Dpo, compute: Compute, finetuning: Finetuning
) -> None:
    recorders = []
    for size, accumulation in ((1, 4), (4, 1)):
        plan = changed(
            settings, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation, num_train_epochs=3
        )
        # four pairs: every step of either plan holds all of them
        recorders.append(train(make_policy(finetuning), pairs[:4], plan, compute))
    assert len(recorders[0].rows) == 3
    for name in ("loss", "grad_norm", "margin"):
        assert recorders[0].column(name) == pytest.approx(recorders[1].column(name), rel=1e-3, abs=1e-5), name


def test_the_first_gradient_is_beta_times_that_of_the_log_prob_difference(
    make_policy: PolicyMaker, pairs: list[ScoredPair], settings: Dpo, compute: Compute
) -> None:
    # at ln 2 the weight of a pair is beta / 2, so the gradient is that of -beta/2 * mean(chosen - rejected)
    plan = changed(settings, per_device_train_batch_size=8, num_train_epochs=1)
    recorder = train(make_policy(FULL), pairs, plan, compute)
    policy = make_policy(FULL)
    chosen, rejected = pair_logps(policy, pairs, compute, pad_token_id=0)
    (-settings.beta / 2 * (chosen - rejected).mean()).backward()
    norm = torch.stack([parameter.grad.norm() for parameter in policy.parameters()]).norm().item()
    assert recorder.rows[0]["grad_norm"] == pytest.approx(norm, rel=1e-3)


@pytest.mark.parametrize("side", ["ref_chosen_logps", "ref_rejected_logps"])
@pytest.mark.parametrize("offset", [-3.0, 0.5])
def test_a_reference_of_another_model_is_refused(
    make_policy: PolicyMaker, pairs: list[ScoredPair], settings: Dpo, compute: Compute, side: str, offset: float
) -> None:
    policy = make_policy(LORA)
    before = snapshot(policy)
    wrong = [replace(pair, **{side: getattr(pair, side) + offset}) for pair in pairs]
    with pytest.raises(PipelineError, match="score_reference"):
        train(policy, wrong, settings, compute)
    assert all(torch.equal(parameter, before[name]) for name, parameter in policy.named_parameters())


def test_a_reference_of_other_pairs_is_refused(
    make_policy: PolicyMaker, pairs: list[ScoredPair], settings: Dpo, compute: Compute
) -> None:
    # the same numbers on the wrong rows: their mean is right, every single one is not
    plan = changed(settings, per_device_train_batch_size=8)
    shuffled = [
        replace(pair, ref_chosen_logps=other.ref_chosen_logps, ref_rejected_logps=other.ref_rejected_logps)
        for pair, other in zip(pairs, [*pairs[1:], pairs[0]], strict=True)
    ]
    with pytest.raises(PipelineError, match="score_reference"):
        train(make_policy(LORA), shuffled, plan, compute)


def test_the_same_seed_gives_the_same_bytes(
    make_policy: PolicyMaker, pairs: list[ScoredPair], settings: Dpo, compute: Compute
) -> None:
    policies = [make_policy(LORA) for _ in range(3)]
    for policy, seed in zip(policies, (0, 0, 1), strict=True):
        train(policy, pairs, settings, compute, seed=seed)
    assert_same_bytes(policies[0], policies[1])
    with pytest.raises(AssertionError):
        assert_same_bytes(policies[0], policies[2])


@pytest.mark.parametrize(("count", "steps"), [(0, []), (1, [4]), (3, [2, 4, 6])])
def test_checkpoints_are_kept_on_the_way(
    make_policy: PolicyMaker,
    pairs: list[ScoredPair],
    settings: Dpo,
    compute: Compute,
    count: int,
    steps: list[int],
) -> None:
    plan = changed(settings, num_train_epochs=4, frontier_checkpoints=count)
    assert train(make_policy(LORA), pairs, plan, compute).checkpoints == steps


def test_a_checkpoint_is_taken_after_its_update(
    make_policy: PolicyMaker, pairs: list[ScoredPair], settings: Dpo, compute: Compute
) -> None:
    plan = changed(
        settings, num_train_epochs=1, per_device_train_batch_size=4
    )  # two steps, a checkpoint after the first
    policy = make_policy(LORA)
    before, kept = snapshot(policy), {}
    recorder = Recorder()
    callbacks = recorder.callbacks() | {"on_checkpoint": lambda step: kept.update({step: snapshot(policy)})}
    train_dpo(policy, pairs, plan, compute, pad_token_id=0, seed=0, **callbacks)
    assert list(kept) == [1]
    assert any(not torch.equal(kept[1][name], value) for name, value in before.items())
