"""Samples of PPO: responses that were learned from, of rollouts spread over the run, the same after a kill."""

from itertools import pairwise
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from pipeline.models.compute import Compute
from pipeline.params.optimize import Ppo
from pipeline.resume import Resume
from pipeline.training.ppo import train_ppo
from pipeline.training.rollout import PpoSetup
from pipeline.training.rollout_samples import rollout_samples, shows
from pipeline.training.run import RolloutSample
from tests.conftest import PolicyMaker
from tests.passages import ended
from tests.tiny_models import LORA, changed
from tests.training.recording import Recorder
from tests.training.toy_ppo import PROMPTS, SAMPLING, count_e, roles_of, rollout_of


@pytest.mark.parametrize("iterations", [1, 2, 9, 10, 11, 25, 1000])
def test_a_run_of_any_length_shows_its_ends_and_a_few_between(iterations: int) -> None:
    shown = [iteration for iteration in range(1, iterations + 1) if shows(iteration, iterations)]
    assert shown[0] == 1 and shown[-1] == iterations and len(shown) == len(set(shown))
    assert min(iterations, 5) <= len(shown) <= 12
    assert all(b - a <= -(-iterations // 10) for a, b in pairwise(shown))


def test_a_sample_is_what_was_scored(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute
) -> None:
    plan = changed(settings, samples_per_prompt=4)
    roles = roles_of(make_policy(LORA, with_values=True), tokenizer)
    rollout = rollout_of(roles, plan, compute)
    prompts = [prompt for prompt in PROMPTS[:4] for _ in range(4)]
    samples = rollout_samples(PpoSetup(roles, plan, SAMPLING, compute), prompts, rollout, iteration=3)
    assert [sample["prompt"] for sample in samples] == PROMPTS[:4], "one response of each"
    assert {sample["iteration"] for sample in samples} == {3}
    assert len({sample["response"] for sample in samples}) > 1
    for sample in samples:
        text = sample["prompt"] + sample["response"]
        assert sample["score"] == count_e(ended([text])).item()


def test_they_are_told_as_one_growing_table_that_a_kill_does_not_change(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute, tmp_path: Path
) -> None:
    plan = changed(settings, total_episodes=64)

    class Killed(Exception):
        pass

    def told(resume: Resume | None = None, *, kill_at: int = 0) -> list[list[RolloutSample]]:
        tables: list[list[RolloutSample]] = []

        def end(step: int, _: object) -> None:
            if step == kill_at:
                raise Killed

        roles, recorder = roles_of(make_policy(LORA, with_values=True), tokenizer), Recorder()
        more = {"on_samples": lambda rows: tables.append(list(rows)), "on_step": end}
        try:
            train_ppo(roles, PROMPTS, plan, SAMPLING, recorder.run(compute, resume=resume, **more))
        except Killed:
            assert kill_at
        return tables

    whole = told()
    assert [len(table) for table in whole] == [4, 8, 12, 16]
    assert all(table == whole[-1][: len(table)] for table in whole)
    told(Resume(tmp_path, "stage", "key", every_steps=2), kill_at=4)
    assert told(Resume(tmp_path, "stage", "key", every_steps=2)) == whole[2:]
