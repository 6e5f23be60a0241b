"""Supervised fine-tuning of a tiny model: what moves, what the loss is, and what accumulation changes (nothing)."""

import math

import pytest
import torch

from pipeline.data.tokens import TokenizedExample
from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.models.scoring import response_logps
from pipeline.params.base import Finetuning
from pipeline.params.schema import Params, TrainSft
from pipeline.training.sft import train_sft
from tests.conftest import PolicyMaker
from tests.tiny_models import FULL, LORA, changed
from tests.training.recording import Recorder, assert_only_trainable_parameters_changed, assert_same_bytes, snapshot

EXAMPLES = [TokenizedExample([11 + i, 12], [*[40 + i, 41, 42][: 1 + i % 3], 2]) for i in range(8)]


@pytest.fixture
def settings(params: Params) -> TrainSft:
    return changed(
        params.train_sft,
        learning_rate=3e-3,
        warmup_ratio=0.0,
        num_train_epochs=2,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=1,
    )


def train(policy: Policy, settings: TrainSft, compute: Compute, *, seed: int = 0) -> Recorder:
    recorder = Recorder()
    train_sft(policy, EXAMPLES, settings, recorder.run(compute, seed=seed), pad_token_id=0)
    return recorder


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_every_trainable_parameter_changes_and_no_other(
    make_policy: PolicyMaker, settings: TrainSft, compute: Compute, finetuning: Finetuning
) -> None:
    policy = make_policy(finetuning)
    before = snapshot(policy)
    # the first step of an adapter moves only its second matrix, which starts at 0
    recorder = train(policy, settings, compute)
    assert_only_trainable_parameters_changed(policy, before)
    assert recorder.steps == [1, 2, 3, 4]
    assert sum(recorder.tokens) == 2 * sum(map(len, EXAMPLES))


def test_the_loss_is_the_mean_over_response_tokens(
    make_policy: PolicyMaker, settings: TrainSft, compute: Compute
) -> None:
    with torch.no_grad():
        logps = response_logps(make_policy(), EXAMPLES, compute, pad_token_id=0).sum().item()
    tokens = sum(len(example.response_ids) for example in EXAMPLES)
    recorder = train(make_policy(LORA), changed(settings, per_device_train_batch_size=8), compute)
    assert recorder.rows[0]["loss"] == pytest.approx(-logps / tokens, rel=1e-5)


def test_what_is_not_learned_has_no_gradient_and_does_not_count(
    make_policy: PolicyMaker, settings: TrainSft, compute: Compute
) -> None:
    """The loss of two turns is that of the same answers as the last turns of two conversations."""
    both = TokenizedExample([11, 12], [40, 2, 13, 14, 41, 42, 2], [True, True, False, False, True, True, True])
    apart = [TokenizedExample([11, 12], [40, 2]), TokenizedExample([11, 12, 40, 2, 13, 14], [41, 42, 2])]
    grown = []
    for examples in ([both], apart):
        recorder = Recorder()
        train_sft(make_policy(FULL), examples, settings, recorder.run(compute), pad_token_id=0)
        grown.append(recorder.rows[0])
    assert grown[0]["loss"] == pytest.approx(grown[1]["loss"], rel=1e-5)
    assert grown[0]["grad_norm"] == pytest.approx(grown[1]["grad_norm"], rel=1e-4)


def test_the_loss_falls(make_policy: PolicyMaker, settings: TrainSft, compute: Compute) -> None:
    losses = train(make_policy(FULL), changed(settings, num_train_epochs=10), compute).column("loss")
    assert losses[-1] < 0.5 * losses[0]
    assert all(map(math.isfinite, losses))


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_accumulated_batches_weigh_tokens_like_one_batch(
    make_policy: PolicyMaker, settings: TrainSft, compute: Compute, finetuning: Finetuning
) -> None:
    recorders = []
    for size, accumulation in ((1, 8), (2, 4), (8, 1)):
        plan = changed(
            settings, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation, num_train_epochs=1
        )
        recorders.append(train(make_policy(finetuning), plan, compute))
    for recorder in recorders[1:]:
        assert recorder.column("loss") == pytest.approx(recorders[0].column("loss"), rel=1e-5)
        assert recorder.column("grad_norm") == pytest.approx(recorders[0].column("grad_norm"), rel=1e-4)


def test_the_same_seed_gives_the_same_bytes(make_policy: PolicyMaker, settings: TrainSft, compute: Compute) -> None:
    policies = [make_policy(LORA) for _ in range(3)]
    for policy, seed in zip(policies, (0, 0, 1), strict=True):
        train(policy, settings, compute, seed=seed)
    assert_same_bytes(policies[0], policies[1])
    with pytest.raises(AssertionError):
        assert_same_bytes(policies[0], policies[2])


def test_a_diverged_loss_stops_with_advice(make_policy: PolicyMaker, settings: TrainSft, compute: Compute) -> None:
    policy = make_policy(FULL)
    with torch.no_grad():
        policy.causal_lm.lm_head.weight.fill_(float("nan"))
    with pytest.raises(PipelineError, match="Lower the learning rate"):
        train(policy, settings, compute)


def test_responses_that_were_cut_to_nothing_are_no_division_by_zero(
    make_policy: PolicyMaker, settings: TrainSft, compute: Compute
) -> None:
    # cut_response leaves no response when the prompt fills max_length; a step may hold only such examples
    empty = [TokenizedExample([11, 12, 13], []) for _ in range(4)]
    recorder = Recorder()
    train_sft(make_policy(LORA), empty, settings, recorder.run(compute), pad_token_id=0)
    assert all(math.isfinite(loss) for loss in recorder.column("loss"))


def test_the_validation_loss_is_the_mean_over_response_tokens(
    make_policy: PolicyMaker, settings: TrainSft, compute: Compute
) -> None:
    policy, recorder = make_policy(LORA), Recorder()
    plan = changed(settings, eval_steps=3, per_device_train_batch_size=3, num_train_epochs=1)
    validation = [*EXAMPLES[:5], TokenizedExample([11, 12, 13], [])]  # one was cut to nothing
    run = recorder.run(compute)
    assert train_sft(policy, EXAMPLES, plan, run, pad_token_id=0, validation=validation) == 3
    with torch.no_grad():
        logps = response_logps(policy, EXAMPLES[:5], compute, pad_token_id=0).sum().item()
    tokens = sum(len(example.response_ids) for example in EXAMPLES[:5])
    assert ["validation_loss" in row for row in recorder.rows] == [False, False, True]
    assert recorder.rows[-1]["validation_loss"] == pytest.approx(-logps / tokens, rel=1e-5)


def test_the_validation_loss_of_all_turns_counts_what_is_learned_alone(
    make_policy: PolicyMaker, settings: TrainSft, compute: Compute
) -> None:
    """As the training loss of the same chats does; a chat that was cut inside its first question has none."""
    chats = [TokenizedExample([11, 12], [40, 2, 13, 14, 41, 42, 2], [True, True, False, False, True, True, True])]
    cut = TokenizedExample([11, 12], [40, 2], [False, False])
    recorder = Recorder()
    plan = changed(settings, eval_steps=1, learning_rate=1e-12, num_train_epochs=1)
    train_sft(make_policy(LORA), chats, plan, recorder.run(compute), pad_token_id=0, validation=[*chats, cut])
    (row,) = recorder.rows
    assert row["validation_loss"] == pytest.approx(row["loss"], rel=1e-5)
