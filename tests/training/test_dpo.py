"""DPO of a tiny model: it starts at ln 2, moves the pairs apart, and refuses a reference that is not its own."""

import math
from dataclasses import replace

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import TokenizedExample, tokenize_example
from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.models.scoring import score_responses
from pipeline.params.base import Finetuning
from pipeline.params.optimize import Dpo
from pipeline.params.schema import Params
from pipeline.preferences.pair import PreferencePair
from pipeline.preferences.scored import ScoredPair
from pipeline.training.dpo import check_first_log_ratios, pair_logps, sync_reference, train_dpo
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
        save_steps=1,
    )


@pytest.fixture
def pairs(
    make_policy: PolicyMaker, compute: Compute, tokenizer: PreTrainedTokenizerBase, text_pairs: list[PreferencePair]
) -> list[ScoredPair]:
    """Eight pairs with the reference log-probs of the tiny policy, as score_reference computes them."""
    examples: list[TokenizedExample] = []
    for pair in text_pairs:
        for text in (pair.chosen, pair.rejected):
            prompt = " ".join(text.split()[:2])
            examples.append(tokenize_example(tokenizer, prompt, text.removeprefix(prompt), ended=True))
    logps = score_responses(make_policy(), examples, compute, pad_token_id=0, batch_size=3, title="reference")
    return [
        ScoredPair(str(i), examples[i], examples[i + 1], logps[i], logps[i + 1]) for i in range(0, len(examples), 2)
    ]


def train(
    policy: Policy,
    pairs: list[ScoredPair],
    settings: Dpo,
    compute: Compute,
    *,
    reference: Policy | None = None,
    seed: int = 0,
) -> Recorder:
    recorder = Recorder()
    train_dpo(policy, pairs, settings, recorder.run(compute, seed=seed), reference=reference, pad_token_id=0)
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
    for size, accumulation in ((1, 8), (8, 1)):
        plan = changed(
            settings, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation, num_train_epochs=3
        )
        # eight pairs: every step of either plan holds all of them
        recorders.append(train(make_policy(finetuning), pairs, plan, compute))
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


@pytest.mark.parametrize(("every", "steps"), [(0, []), (4, [4]), (2, [2, 4, 6]), (8, [])])
def test_checkpoints_are_kept_on_the_way(
    make_policy: PolicyMaker,
    pairs: list[ScoredPair],
    settings: Dpo,
    compute: Compute,
    every: int,
    steps: list[int],
) -> None:
    plan = changed(settings, num_train_epochs=4, save_steps=every)
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
    run = recorder.run(compute, on_checkpoint=lambda step: kept.update({step: snapshot(policy)}))
    train_dpo(policy, pairs, plan, run, pad_token_id=0)
    assert list(kept) == [1]
    assert any(not torch.equal(kept[1][name], value) for name, value in before.items())


@pytest.mark.parametrize(
    ("reference", "finetuning"), [("adapter_off", LORA), ("frozen_copy", LORA), ("frozen_copy", FULL)]
)
def test_every_kind_of_reference_gives_the_same_training(
    make_policy: PolicyMaker,
    pairs: list[ScoredPair],
    settings: Dpo,
    compute: Compute,
    reference: str,
    finetuning: Finetuning,
) -> None:
    recorders, policies = [], []
    for kind in ("cached", reference):
        plan = changed(settings, reference=kind, finetuning=finetuning.model_dump(), num_train_epochs=1)
        policies.append(make_policy(finetuning))
        copy = make_policy() if kind == "frozen_copy" else None
        recorders.append(train(policies[-1], pairs, plan, compute, reference=copy))
    for name in ("loss", "chosen_rewards", "rejected_rewards"):
        assert recorders[1].column(name) == pytest.approx(recorders[0].column(name), abs=1e-6), name
    for (name, first), second in zip(policies[0].named_parameters(), policies[1].parameters(), strict=True):
        assert torch.allclose(first, second, atol=1e-5), name


def test_the_reference_follows_the_policy_when_synced(
    make_policy: PolicyMaker, pairs: list[ScoredPair], settings: Dpo, compute: Compute
) -> None:
    plan = changed(
        settings,
        finetuning=FULL.model_dump(),
        reference="frozen_copy",
        reference_sync_steps=2,
        reference_mixup_alpha=1.0,
        num_train_epochs=3,
    )
    policy, copy = make_policy(FULL), make_policy()
    changes = train(policy, pairs, plan, compute, reference=copy).column("chosen_logps_change")
    # six steps: after the second and the fourth update the reference is the policy, so the next log-ratio is 0
    assert [abs(change) < 1e-3 for change in changes] == [True, False, True, False, True, False]
    assert_same_bytes(copy, policy)


def test_a_sync_mixes_weights() -> None:
    class Holder:
        def __init__(self, value: float) -> None:
            self.causal_lm = torch.nn.Linear(1, 1, bias=False)
            torch.nn.init.constant_(self.causal_lm.weight, value)

    reference, policy = Holder(1.0), Holder(5.0)
    sync_reference(reference, policy, alpha=0.25)  # type: ignore[arg-type]
    assert reference.causal_lm.weight.item() == 2.0 and policy.causal_lm.weight.item() == 5.0


@pytest.mark.parametrize("loss", ["robust", "ipo", "hinge", "sigmoid_norm", "simpo"])
def test_every_loss_trains(
    make_policy: PolicyMaker, pairs: list[ScoredPair], settings: Dpo, compute: Compute, loss: str
) -> None:
    plan = changed(settings, loss=loss, num_train_epochs=10, beta=0.1 if loss in ("robust", "hinge") else 2.0)
    recorder = train(make_policy(LORA), pairs, plan, compute)
    assert recorder.rows[-1]["loss"] < recorder.rows[0]["loss"]
    assert recorder.rows[-1]["chosen_logps_change"] > recorder.rows[-1]["rejected_logps_change"]


def test_the_nll_term_keeps_the_chosen_responses_probable(
    make_policy: PolicyMaker, pairs: list[ScoredPair], settings: Dpo, compute: Compute
) -> None:
    changes = [
        train(make_policy(LORA), pairs, changed(settings, nll_coef=nll_coef, num_train_epochs=5), compute).rows[-1][
            "chosen_logps_change"
        ]
        for nll_coef in (0.0, 2.0)
    ]
    assert changes[1] > changes[0] + 1, changes


def test_bf16_may_round_as_much_as_was_measured_and_no_more(pairs: list[ScoredPair]) -> None:
    long = replace(pairs[0], chosen=TokenizedExample([1], [2] * 48))
    rounding = torch.tensor([[1.4, -0.52], [0.0, 0.9]])
    check_first_log_ratios([long, pairs[1]], rounding, precise=False)
    with pytest.raises(PipelineError, match=r"by 1\.400 nats"):
        check_first_log_ratios([pairs[0], pairs[1]], rounding, precise=False)
    with pytest.raises(PipelineError, match="score_reference"):
        check_first_log_ratios([long, pairs[1]], rounding, precise=True)
