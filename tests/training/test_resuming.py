"""Every trainer, stopped at every step and started again, ends with the bytes of a run that was never stopped."""

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import TokenizedExample
from pipeline.models.compute import Compute
from pipeline.models.critic import critic_from_policy
from pipeline.models.reward_loading import create_reward_model
from pipeline.models.scoring import score_responses
from pipeline.params.base import Finetuning
from pipeline.params.schema import Params
from pipeline.preferences.pair import PreferencePair
from pipeline.preferences.scored import TokenizedPair
from pipeline.resume import Resume
from pipeline.training.dpo import train_dpo
from pipeline.training.ppo import train_ppo
from pipeline.training.resuming import restore_training, training_state
from pipeline.training.reward import train_reward
from pipeline.training.schedule import supervised_optimization
from pipeline.training.sft import train_sft
from tests.conftest import PolicyMaker
from tests.tiny_models import FULL, LORA, changed
from tests.training.recording import Recorder, assert_same_bytes
from tests.training.toy_ppo import PROMPTS, SAMPLING, roles_of

EXAMPLES = [TokenizedExample([11 + i, 12], [*[40 + i, 41, 42][: 1 + i % 3], 2]) for i in range(6)]
SCHEDULE = {
    "learning_rate": 2e-3,
    "num_train_epochs": 2,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 1,
}
FOUR_ROLLOUTS = {
    "total_episodes": 48,
    "rollout_batch_size": 12,
    "num_minibatches": 2,
    "per_device_train_batch_size": 6,
}
Run = Callable[[Recorder, Resume | None], list[nn.Module]]


class Killed(Exception):
    pass


class Killer(Recorder):
    """Ends the run in the middle of a step, before its state is saved."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._at = at

    def _step(self, step: int, metrics: dict[str, float]) -> None:
        super()._step(step, metrics)
        if step == self._at:
            raise Killed


def assert_goes_on(run: Run, folder: Path, *, every_steps: int = 1) -> None:
    """Kill at each step; the state on disk is all that the next run has."""
    whole = Recorder()
    expected = run(whole, None)
    assert len(whole.steps) >= 2
    for at in whole.steps:
        resume = Resume(folder / str(at), "stage", "key", every_steps=every_steps)
        with pytest.raises(Killed):
            run(Killer(at), resume)
        again = Recorder()
        models = run(again, Resume(folder / str(at), "stage", "key", every_steps=every_steps))
        done = (at - 1) // every_steps * every_steps
        assert again.steps == whole.steps[done:]
        assert again.rows == whole.rows[done:]
        assert again.checkpoints == [step for step in whole.checkpoints if step > done]
        for ours, theirs in zip(models, expected, strict=True):
            assert_same_bytes(ours, theirs)


@pytest.mark.parametrize(
    "finetuning", [LORA, pytest.param(FULL, marks=pytest.mark.slow(beside="test_sft"))], ids=["lora", "full"]
)
@pytest.mark.parametrize("every_steps", [pytest.param(1, marks=pytest.mark.slow(beside="test_sft")), 3])
def test_sft(
    make_policy: PolicyMaker, params: Params, compute: Compute, tmp_path: Path, finetuning: Finetuning, every_steps: int
) -> None:
    settings = changed(params.train_sft, **SCHEDULE)

    def run(recorder: Recorder, resume: Resume | None) -> list[nn.Module]:
        policy = make_policy(finetuning)
        train_sft(policy, EXAMPLES, settings, recorder.run(compute, resume=resume), pad_token_id=0)
        return [policy]

    assert_goes_on(run, tmp_path, every_steps=every_steps)


@pytest.mark.parametrize(
    "every_steps", [pytest.param(1, marks=pytest.mark.slow(beside="test_sft_that_stops_early")), 3]
)
def test_sft_that_stops_early(
    make_policy: PolicyMaker, params: Params, compute: Compute, tmp_path: Path, every_steps: int
) -> None:
    """The weights with the lowest validation loss are left, and those were passed before the kill."""
    more = {"eval_steps": 1, "early_stopping_patience": 3, "warmup_ratio": 0.0, "lr_scheduler_type": "constant"}
    settings = changed(params.train_sft, **{**SCHEDULE, "learning_rate": 0.05, "num_train_epochs": 4}, **more)
    # they end alike and begin otherwise: the loss falls, and then rises
    others = [TokenizedExample([11 + i, 12], [90 + i, 91, 2]) for i in range(4)]
    best = []

    def run(recorder: Recorder, resume: Resume | None) -> list[nn.Module]:
        policy = make_policy(LORA)
        told = recorder.run(compute, resume=resume)
        best.append(train_sft(policy, EXAMPLES[:4], settings, told, pad_token_id=0, validation=others))
        return [policy]

    assert_goes_on(run, tmp_path, every_steps=every_steps)
    assert len(set(best)) == 1 and 1 < best[0] < 8, best


@pytest.mark.parametrize("synced", [False, True], ids=["cached", "synced reference"])
def test_dpo(make_policy: PolicyMaker, params: Params, compute: Compute, tmp_path: Path, synced: bool) -> None:
    moving = {"reference": "frozen_copy", "reference_sync_steps": 2} if synced else {}
    settings = changed(params.optimize.dpo, **SCHEDULE, save_steps=1, finetuning=FULL, **moving)
    pairs = [TokenizedPair(str(i), EXAMPLES[i], EXAMPLES[(i + 3) % 6]).scored(0.0, 0.0) for i in range(6)]
    if not synced:
        logps = score_responses(make_policy(), EXAMPLES, compute, pad_token_id=0, batch_size=3, title="reference")
        pairs = [pair.scored(logps[i], logps[(i + 3) % 6]) for i, pair in enumerate(pairs)]

    def run(recorder: Recorder, resume: Resume | None) -> list[nn.Module]:
        policy, reference = make_policy(FULL), make_policy() if synced else None
        train_dpo(policy, pairs, settings, recorder.run(compute, resume=resume), reference=reference, pad_token_id=0)
        return [policy] if reference is None else [policy, reference]

    assert_goes_on(run, tmp_path)


def test_reward_model(
    encoder_folder: Path, text_pairs: list[PreferencePair], params: Params, compute: Compute, tmp_path: Path
) -> None:
    settings = changed(params.train_reward, **SCHEDULE, max_length=48)

    def run(recorder: Recorder, resume: Resume | None) -> list[nn.Module]:
        model = create_reward_model(encoder_folder, compute, max_length=48, seed=0)
        train_reward(model, text_pairs, text_pairs, settings, recorder.run(compute, resume=resume))
        return [model]

    assert_goes_on(run, tmp_path)


@pytest.mark.parametrize("critic", ["shared", pytest.param("policy", marks=pytest.mark.slow(beside="test_ppo"))])
def test_ppo(
    make_policy: PolicyMaker,
    policy_folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    params: Params,
    compute: Compute,
    tmp_path: Path,
    critic: str,
) -> None:
    settings = changed(
        params.optimize.ppo,
        **FOUR_ROLLOUTS,
        learning_rate=3e-3,
        kl_controller="adaptive",
        kl_target=0.5,
        kl_horizon=100,
        normalize_scores=True,
        critic=critic,
        finetuning=LORA,
        save_steps=1,
    )

    def run(recorder: Recorder, resume: Resume | None) -> list[nn.Module]:
        policy = make_policy(LORA, with_values=critic == "shared")
        own = critic_from_policy(policy_folder, compute, finetuning=LORA, seed=0) if critic == "policy" else None
        roles = roles_of(policy, tokenizer, critic=own)
        train_ppo(roles, PROMPTS, settings, SAMPLING, recorder.run(compute, resume=resume))
        return [policy] if own is None else [policy, own]

    assert_goes_on(run, tmp_path)


def test_a_ppo_run_that_stopped_early_stays_stopped(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, params: Params, compute: Compute, tmp_path: Path
) -> None:
    settings = changed(
        params.optimize.ppo,
        **FOUR_ROLLOUTS,
        learning_rate=0.05,
        max_kl=0.001,
        finetuning=LORA,
    )
    steps = []
    for _ in range(2):
        policy, recorder = make_policy(LORA, with_values=True), Recorder()
        resume = Resume(tmp_path, "stage", "key", every_steps=1)
        roles = roles_of(policy, tokenizer)
        train_ppo(roles, PROMPTS, settings, SAMPLING, recorder.run(compute, resume=resume))
        steps.append(recorder.steps)
    assert 1 < len(steps[0]) < 4 and steps[1] == []


def test_a_state_of_another_model_is_refused(
    make_policy: PolicyMaker, params: Params, compute: Compute, tmp_path: Path
) -> None:
    resume = Resume(tmp_path, "stage", "key", every_steps=1)
    policies = make_policy(FULL), make_policy(LORA)
    full, lora = (
        supervised_optimization(policy, params.train_sft, compute.accelerator, total_steps=2) for policy in policies
    )
    resume.save_now(training_state(1, full, policies[0]))
    with pytest.raises(ValueError, match="other parameters"):
        restore_training(resume, lora, policies[1])
