"""PPO of a tiny model: it starts at ratio 1 and KL 0, moves what it should, and raises a toy score."""

import itertools

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.params.base import Finetuning
from pipeline.params.optimize import Ppo
from pipeline.training.ppo import next_prompts, prompt_stream
from tests.conftest import PolicyMaker
from tests.passages import ended
from tests.tiny_models import FULL, LORA, changed
from tests.training.off_sampler import bias_sampler
from tests.training.recording import assert_only_trainable_parameters_changed, assert_same_bytes, snapshot
from tests.training.toy_ppo import PROMPTS, count_e, train


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_every_trainable_parameter_changes_and_no_other(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    finetuning: Finetuning,
) -> None:
    policy = make_policy(finetuning, with_values=True)
    reference = None if policy.has_adapters else make_policy()
    before = snapshot(policy)
    recorder = train(policy, tokenizer, settings, compute, reference=reference)
    assert_only_trainable_parameters_changed(policy, before)
    if reference is not None:
        assert_same_bytes(reference, make_policy())
    assert recorder.steps == [1, 2]


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_it_starts_as_its_own_reference(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    finetuning: Finetuning,
) -> None:
    policy = make_policy(finetuning, with_values=True)
    one_update = changed(settings, num_ppo_epochs=1, num_minibatches=1, total_episodes=16)
    reference = None if policy.has_adapters else make_policy()
    first = train(policy, tokenizer, one_update, compute, reference=reference).rows[0]
    assert first["kl_k1"] == pytest.approx(0.0, abs=1e-4)
    assert first["kl_k3"] == pytest.approx(0.0, abs=1e-6)
    assert first["approximate_kl"] == pytest.approx(0.0, abs=1e-8)
    assert first["ratio_max"] == pytest.approx(1.0, abs=1e-4)
    assert first["clip_fraction"] == 0.0
    # whitened advantages have mean 0, and at ratio 1 the loss is minus their mean
    assert first["policy_loss"] == pytest.approx(0.0, abs=1e-5)
    assert first["explained_variance"] == pytest.approx(0.0, abs=1e-5)
    assert first["updates"] == 1
    later = train(make_policy(LORA, with_values=True), tokenizer, settings, compute).rows[1]
    assert later["kl_k3"] > 1e-4


@pytest.fixture
def bold(settings: Ppo) -> Ppo:
    """Large steps without a KL penalty: ten iterations show where the score goes."""
    return changed(
        settings,
        total_episodes=640,
        rollout_batch_size=64,
        per_device_train_batch_size=32,
        learning_rate=2e-2,
        kl_coef=0.0,
        cliprange_value=10.0,
    )


@pytest.mark.parametrize(
    "finetuning",
    [
        pytest.param(
            changed(LORA, lora_r=16, lora_alpha=128), marks=pytest.mark.slow(beside="test_a_toy_score_goes_up")
        ),
        FULL,
    ],
    ids=["lora", "full"],
)
def test_a_toy_score_goes_up(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    bold: Ppo,
    whole_batches: Compute,
    finetuning: Finetuning,
) -> None:
    policy = make_policy(finetuning, with_values=True)
    reference = None if policy.has_adapters else make_policy()
    # adapters of a 2-layer model have little to move, so they get more episodes
    plan = changed(bold, total_episodes=3 * bold.total_episodes) if policy.has_adapters else bold
    scores = train(policy, tokenizer, plan, whole_batches, reference=reference).column("score")
    assert sum(scores[-2:]) / 2 > 2 * scores[0], scores


def test_the_sign_of_the_score_decides_the_direction(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, bold: Ppo, whole_batches: Compute
) -> None:
    policy = make_policy(FULL, with_values=True)
    plan = changed(bold, total_episodes=384)
    recorder = train(
        policy, tokenizer, plan, whole_batches, reference=make_policy(), score=lambda texts: -count_e(texts)
    )
    prompts_alone = count_e(ended(PROMPTS)).mean().item()
    wanted = [-score - prompts_alone for score in recorder.column("score")]
    assert sum(wanted[-2:]) / 2 < 0.6 * wanted[0], wanted


def test_a_kl_penalty_keeps_the_policy_near_its_reference(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, bold: Ppo, whole_batches: Compute
) -> None:
    kl = []
    for kl_coef in (0.0, 5.0):
        plan = changed(bold, total_episodes=384, learning_rate=5e-3, kl_coef=kl_coef)
        kl.append(train(make_policy(LORA, with_values=True), tokenizer, plan, whole_batches).rows[-1]["kl_k3"])
    assert kl[1] < 0.5 * kl[0], kl


def test_every_prompt_once_a_pass() -> None:
    stream = prompt_stream(["a", "b", "c", "d", "e"], seed=0)
    passes = [list(itertools.islice(stream, 5)) for _ in range(4)]
    assert all(sorted(one) == ["a", "b", "c", "d", "e"] for one in passes)
    assert len({tuple(one) for one in passes}) > 1
    again = list(itertools.islice(prompt_stream(["a", "b", "c", "d", "e"], seed=0), 20))
    assert again == [prompt for one in passes for prompt in one]


def test_updates_are_counted_and_the_schedule_follows_the_episodes(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    full = train(make_policy(LORA, with_values=True), tokenizer, settings, compute)
    assert full.column("updates") == [4, 4]
    assert full.column("learning_rate") == pytest.approx([1e-3, 5e-4])
    # any change at all exceeds this target: the rest of each rollout is skipped, the schedule goes on
    short = train(make_policy(LORA, with_values=True), tokenizer, changed(settings, target_kl_per_update=1e-9), compute)
    assert all(count < 4 for count in short.column("updates"))
    assert short.column("learning_rate") == pytest.approx([1e-3, 5e-4])
    # told is the rate of the rollout's first update: of 8 updates the first 6 warm up, from 0
    warming = train(make_policy(LORA, with_values=True), tokenizer, changed(settings, warmup_ratio=0.75), compute)
    assert warming.column("learning_rate") == pytest.approx([0.0, 1e-3 * 4 / 6])


def test_training_stops_beyond_max_kl(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    plan = changed(settings, total_episodes=80, learning_rate=2e-2, max_kl=0.5, kl_coef=0.0)
    recorder = train(make_policy(LORA, with_values=True), tokenizer, plan, compute)
    assert recorder.column("kl_k1")[-1] > 0.5
    assert all(kl <= 0.5 for kl in recorder.column("kl_k1")[:-1])
    assert len(recorder.rows) < 5


def test_scores_that_are_not_finite_stop_the_run(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    policy = make_policy(LORA, with_values=True)
    before = snapshot(policy)
    with pytest.raises(PipelineError):
        train(policy, tokenizer, settings, compute, score=lambda texts: torch.full((len(texts),), float("nan")))
    assert all(torch.equal(parameter, before[name]) for name, parameter in policy.named_parameters())


@pytest.mark.parametrize(("every", "steps"), [(0, []), (2, [2]), (1, [1, 2, 3])])
def test_checkpoints_are_kept_on_the_way(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    every: int,
    steps: list[int],
) -> None:
    plan = changed(settings, total_episodes=64, save_steps=every)
    assert train(make_policy(LORA, with_values=True), tokenizer, plan, compute).checkpoints == steps


def test_the_same_seed_gives_the_same_bytes(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    policies, recorders = [make_policy(LORA, with_values=True) for _ in range(3)], []
    for policy, seed in zip(policies, (0, 0, 1), strict=True):
        recorders.append(train(policy, tokenizer, settings, compute, seed=seed))
    assert_same_bytes(policies[0], policies[1])
    assert recorders[0].rows == recorders[1].rows
    with pytest.raises(AssertionError):
        assert_same_bytes(policies[0], policies[2])


def test_another_sampler_is_warned_of_once(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(make_policy(LORA, with_values=True), tokenizer, settings, compute)
    assert "warning" not in capsys.readouterr().out
    bias_sampler(monkeypatch, torch.linspace(-1, 1, len(tokenizer)))
    recorder = train(make_policy(LORA, with_values=True), tokenizer, settings, compute)
    assert min(recorder.column("sampler_kl")) > settings.max_sampler_kl and len(recorder.rows) == 2
    assert capsys.readouterr().out.count("away from the policy that is trained, more than max_sampler_kl 0.005") == 1


def test_episodes_of_a_prompt_are_adjacent(settings: Ppo) -> None:
    plan = changed(settings, samples_per_prompt=4)
    assert next_prompts(iter("abcd"), plan) == list("aaaabbbbccccdddd")


def test_an_entropy_bonus_keeps_the_policy_more_random(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, bold: Ppo, whole_batches: Compute
) -> None:
    entropy = []
    for entropy_coef in (0.0, 1.0):
        plan = changed(bold, total_episodes=384, entropy_coef=entropy_coef, learning_rate=5e-3)
        policy = make_policy(FULL, with_values=True)
        entropy.append(train(policy, tokenizer, plan, whole_batches, reference=make_policy()).column("entropy")[-1])
    assert entropy[1] > entropy[0] + 0.2, entropy


def test_the_kl_coefficient_adapts_and_is_logged(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    plan = changed(settings, total_episodes=48, kl_controller="adaptive", kl_coef=0.1, kl_target=1e3, kl_horizon=160)
    coefficients = train(make_policy(LORA, with_values=True), tokenizer, plan, compute).column("kl_coef")
    # far below its target: -0.2 * 16 / 160 each time
    assert coefficients == pytest.approx([0.1, 0.1 * 0.98, 0.1 * 0.98**2])


def test_another_methods_policy_is_improved_against_the_first_reference(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    start = make_policy(FULL, with_values=True)
    with torch.no_grad():
        for parameter in start.causal_lm.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    plan = changed(settings, num_ppo_epochs=1, num_minibatches=1, total_episodes=16)
    first = train(start, tokenizer, plan, compute, reference=make_policy()).rows[0]
    assert first["kl_k3"] > 0.05
    assert first["ratio_max"] == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("estimator", ["rloo", "group"])
def test_without_a_critic_other_responses_are_the_baseline(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, bold: Ppo, whole_batches: Compute, estimator: str
) -> None:
    plan = changed(bold, advantage_estimator=estimator, samples_per_prompt=4)
    scores = train(make_policy(FULL), tokenizer, plan, whole_batches, reference=make_policy()).column("score")
    assert sum(scores[-2:]) / 2 > 2 * scores[0], scores
    with pytest.raises(TypeError, match="1 critics"):
        train(make_policy(FULL, with_values=True), tokenizer, plan, whole_batches, reference=make_policy())
