"""PPO and evaluation of a policy that a server samples from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase

from pipeline.data.passages import Passage
from pipeline.engines.vllm import VllmEngine
from pipeline.evaluation.policy import Evaluator
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy, load_policy, load_tokenizer
from pipeline.params.optimize import Ppo
from pipeline.params.schema import Params
from pipeline.training.ppo import train_ppo
from pipeline.training.ppo_inputs import SAMPLING as FILE
from pipeline.training.ppo_inputs import write_figures
from tests.conftest import PolicyMaker
from tests.engines.conftest import Serve
from tests.tiny_models import LORA, changed
from tests.trained_project import TrainedProject
from tests.training.recording import Recorder
from tests.training.toy_ppo import PROMPTS, SAMPLING, roles_of


@pytest.fixture
def settings(params: Params) -> Ppo:
    return changed(
        params.optimize.ppo,
        total_episodes=16,
        rollout_batch_size=8,
        num_ppo_epochs=1,
        num_minibatches=2,
        per_device_train_batch_size=4,
        learning_rate=2e-2,
        warmup_ratio=0.0,
        target_kl_per_update=100.0,
        max_kl=1000.0,
        save_steps=0,
    )


def trained(
    policy: Policy, tokenizer: PreTrainedTokenizerBase, settings: Ppo, compute: Compute, engine: VllmEngine | None
) -> Recorder:
    recorder = Recorder()
    train_ppo(roles_of(policy, tokenizer), PROMPTS, settings, SAMPLING, recorder.run(compute, seed=0), engine=engine)
    return recorder


def test_ppo_learns_from_what_a_server_samples(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    serve: Serve,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each rollout from the adapters of that moment: as near to the policy as its own network would be."""
    server, engine = serve()
    recorder = trained(make_policy(LORA, with_values=True), tokenizer, settings, compute, engine)
    assert recorder.steps == [1, 2] and max(recorder.column("sampler_kl")) < 1e-6
    assert recorder.rows[0]["kl_k1"] == pytest.approx(0, abs=1e-4) and abs(recorder.rows[1]["kl_k1"]) > 0.01
    assert [call for call, _ in server.calls] == ["load", "load", "unload"] and len(set(server.calls)) == 3
    assert "warning" not in capsys.readouterr().out


def test_stale_adapters_raise_the_alarm(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    settings: Ppo,
    compute: Compute,
    serve: Serve,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A server that says it has taken the new ones and answers with the old ones; truncated weights correct for it."""
    rows = []
    for truncation in (None, 2.0):
        _, engine = serve(stale=True)
        plan = changed(settings, importance_truncation=truncation)
        recorder = trained(make_policy(LORA, with_values=True), tokenizer, plan, compute, engine)
        first, second = recorder.column("sampler_kl")
        assert first < 1e-6 and second > settings.max_sampler_kl
        said = capsys.readouterr().out
        assert "more than max_sampler_kl 0.005" in said and "serves the adapters of each rollout" in said
        rows.append(recorder.column("policy_loss"))
    # where sampler and policy agree the weights are 1, and else the loss is another one
    assert rows[0][0] == pytest.approx(rows[1][0], abs=1e-4)
    assert abs(rows[0][1] - rows[1][1]) > 1e-3


class Nothing:
    """A judge and a reward model that find everything alike."""

    def rate(self, prompts: Sequence[str], responses: Sequence[Passage], against: Sequence[Passage]) -> np.ndarray:
        return np.full(len(prompts), 0.5)

    def score(self, texts: Sequence[Passage], *, batch_size: int) -> np.ndarray:
        return np.zeros(len(texts))


def test_adapters_on_adapters_are_evaluated(
    trained_project: TrainedProject, compute: Compute, params: Params, serve: Serve
) -> None:
    """DPO's on SFT's, both on the server's base model, as one adapter; SFT itself, too."""
    server, engine = serve(trained_project.start)
    nothing: Any = Nothing()
    evaluator = Evaluator(
        judge=nothing,
        reward_model=nothing,
        reference=load_policy(trained_project.sft, compute, finetuning=None),
        tokenizer=load_tokenizer(trained_project.sft),
        sampling=changed(params.sampling, max_new_tokens=5, batch_size=8),
        compute=compute,
        batch_size=4,
        resamples=None,
        seed=0,
        engine=engine,
    )
    prompts: Any = [{"id": str(at), "prompt": text, "category": "any"} for at, text in enumerate(PROMPTS)]
    of_sft = evaluator.sample_and_score(evaluator.reference, prompts, title="sft")
    policy = load_policy(trained_project.dpo, compute, finetuning=None)
    of_dpo = evaluator.sample_and_score(policy, prompts, title="dpo", baseline=of_sft)
    assert {one.kl_nats for one in of_sft} == {0.0} and min(one.kl_k3_nats for one in of_dpo) > 0
    assert [one.response for one in of_sft] != [one.response for one in of_dpo]
    assert [call for call, _ in server.calls] == ["load", "load", "unload"]
    assert all(request["max_tokens"] in (1, 5) for request in server.requests)


def test_ppo_inputs_keep_their_bytes_with_the_own_engine(params: Params, tmp_path: Path) -> None:
    """And those of another engine say so."""
    gate: Any = {}
    write_figures(tmp_path / "own", gate, params.sampling)
    write_figures(tmp_path / "vllm", gate, changed(params.sampling, engine="vllm"))
    own, vllm = ((tmp_path / name / FILE).read_text() for name in ("own", "vllm"))
    assert "engine" not in own and '"engine": "vllm"' in vllm
