"""optimize_policy: train the SFT policy on preferences, with one of optimize.methods and one of optimize.seeds."""

import json
from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from pipeline.data.records import read_records
from pipeline.errors import PipelineError
from pipeline.memory.fitting import check_fit
from pipeline.memory.trainings import dpo_work, ppo_work, prompt_tokens
from pipeline.memory.work import Example
from pipeline.models.checkpoints import checkpoint_bytes, keep_checkpoint, save_checkpoint, save_policy
from pipeline.models.compute import Compute
from pipeline.models.critic import Critic, critic_from_policy, critic_from_reward_model
from pipeline.models.folders import config_of
from pipeline.models.policy import Policy, load_policy, load_reference, load_tokenizer
from pipeline.models.reward import load_reward_model
from pipeline.models.text_format import FILE, check_same_texts, read_text_format
from pipeline.params.optimize import Ppo
from pipeline.params.schema import Sampling
from pipeline.preferences.scored import ScoredPair, read_scored_pairs
from pipeline.stage.run import Stage, run_stage
from pipeline.training.dpo import train_dpo
from pipeline.training.ppo import ppo_iterations, train_ppo
from pipeline.training.reward_gate import check_reward_gate
from pipeline.training.rollout import Roles
from pipeline.training.run import TrainingRun
from pipeline.training.schedule import checkpoint_steps, supervised_steps


def main(stage: Stage, method: str, seed: str) -> None:
    """Train with `method` and save the policy with its checkpoints on the way."""
    if method not in TRAINERS:
        raise PipelineError(f"unknown method {method!r}; optimize.methods takes {', '.join(TRAINERS)}")
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    TRAINERS[method](stage, int(seed))
    stage.write_history(f"reports/training/{method}/seed-{seed}.jsonl")


def optimize_dpo(stage: Stage, seed: int) -> None:
    """DPO on the training pairs, with the cached reference log-probs."""
    settings = stage.params.optimize.dpo
    pairs = read_scored_pairs(stage.input("artifacts/inputs/dpo/pairs.jsonl"))
    sft = stage.input("artifacts/sft")
    kept = checkpoint_steps(supervised_steps(len(pairs), settings), settings.save_steps)
    compute = stage.start_compute(output_bytes=(1 + len(kept)) * checkpoint_bytes(sft, settings.finetuning))
    check_fit(dpo_work(config_of(sft), settings, pair_lengths(pairs)), stage.params.runtime)
    tokenizer = load_tokenizer(sft)
    policy = load_policy(sft, compute, finetuning=settings.finetuning, seed=seed)
    copied = settings.reference == "frozen_copy"
    folder = stage.output(f"artifacts/policies/dpo/seed-{seed}")
    reference = load_reference(sft, compute, method=settings.finetuning.method) if copied else None
    run = TrainingRun(
        compute,
        seed,
        on_step=stage.log_step,
        on_tokens=stage.costs.add_work,
        on_checkpoint=lambda step: _save_checkpoint(stage, policy, folder, step, start=sft),
        resume=stage.resume,
    )
    train_dpo(policy, pairs, settings, run, pad_token_id=tokenizer.pad_token_id, reference=reference)
    _save(stage, policy, tokenizer, folder, start=sft)


def pair_lengths(pairs: Sequence[ScoredPair]) -> list[Example]:
    """Pairs in tokens."""
    return [
        Example.of_pair(
            len(pair.chosen.prompt_ids),
            len(pair.chosen.response_ids),
            len(pair.rejected.response_ids),
            shared=pair.chosen.prompt_ids == pair.rejected.prompt_ids,
        )
        for pair in pairs
    ]


def optimize_ppo(stage: Stage, seed: int) -> None:
    """PPO on the training prompts, with the reward model's scores."""
    folder = stage.output(f"artifacts/policies/ppo/seed-{seed}")
    inputs, sft = stage.input("artifacts/inputs/ppo"), stage.input("artifacts/sft")
    run_ppo(stage, stage.params.optimize.ppo, inputs, folder, start=sft, seed=seed, section="optimize.ppo")


def optimize_hybrid(stage: Stage, seed: int) -> None:
    """PPO from the first method's policy, on the prompts of the categories that it made worse.

    Step 1 is that policy; iteration i of PPO is step 1 + i. Where no category had regressed, it stays as it is.
    """
    folder = stage.output(f"artifacts/policies/hybrid/seed-{seed}")
    inputs, settings = stage.input(f"artifacts/inputs/hybrid/seed-{seed}"), stage.params.optimize.hybrid
    prompts = read_records(inputs / "prompts.jsonl")
    stage.log_step(1, {"prompts": len(prompts)})
    if not prompts:
        print("no category has regressed: hybrid is the first method's policy", flush=True)
        keep_checkpoint(inputs / "policy", inputs / "policy", folder)
        return
    start = inputs / "policy"
    run_ppo(stage, settings, inputs, folder, start=start, seed=seed, section="optimize.hybrid", first_step=1)


def run_ppo(
    stage: Stage,
    settings: Ppo,
    inputs: Path,
    folder: Path,
    *,
    start: Path,
    seed: int,
    section: str,
    first_step: int = 0,
) -> None:
    """PPO from the policy in `start`, with the KL to the SFT policy.

    Args:
        inputs: prompts, reward model, its gate, and how to sample.
        section: of params.yaml, with `settings`.
        first_step: steps of the history and of checkpoints that lie before the first iteration.
    """
    check_gate(inputs, settings)
    prompts = [row["prompt"] for row in read_records(inputs / "prompts.jsonl", fields=("prompt",))]
    sft = stage.input("artifacts/sft")
    kept = checkpoint_steps(ppo_iterations(settings), settings.save_steps)
    compute = stage.start_compute(output_bytes=(1 + len(kept)) * checkpoint_bytes(start, settings.finetuning))
    shared = settings.advantage_estimator == "gae" and settings.critic == "shared"
    sampling = Sampling.model_validate_json((inputs / "sampling.json").read_text())
    tokenizer = load_tokenizer(sft)
    work = ppo_work(
        config_of(sft),
        config_of(inputs / "reward_model"),
        settings,
        section=section,
        prompts=prompt_tokens(tokenizer, prompts),
        new_tokens=sampling.max_new_tokens,
        apart=start != sft,
    )
    check_fit(work, stage.params.runtime)
    policy = load_policy(start, compute, finetuning=settings.finetuning, seed=seed, with_values=shared)
    check_same_texts(sft, inputs / "reward_model")
    reward_model = load_reward_model(inputs / "reward_model", compute)
    # adapters switched off are the reference, where training starts from it and does not touch it
    inside = policy.has_adapters and start == sft
    roles = Roles(
        policy=policy,
        reference=None if inside else load_reference(sft, compute, method=settings.finetuning.method),
        critic=_critic(settings, start, inputs / "reward_model", tokenizer, compute, seed=seed),
        score=lambda texts: reward_model.score(texts, batch_size=settings.rollout_batch_size),
        tokenizer=tokenizer,
    )
    run = TrainingRun(
        compute,
        seed,
        on_step=lambda step, metrics: stage.log_step(first_step + step, metrics),
        on_tokens=stage.costs.add_work,
        on_checkpoint=lambda step: _save_checkpoint(stage, policy, folder, first_step + step, start=start),
        resume=stage.resume,
    )
    train_ppo(roles, prompts, settings, sampling, run)
    _save(stage, policy, tokenizer, folder, start=start)


def _critic(
    settings: Ppo,
    start: Path,
    reward_folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    compute: Compute,
    *,
    seed: int,
) -> Critic | None:
    """A critic of its own, None where the policy has a value head or the advantages need no critic."""
    if settings.advantage_estimator != "gae" or settings.critic == "shared":
        return None
    if settings.critic == "policy":
        return critic_from_policy(start, compute, finetuning=settings.finetuning, seed=seed)
    # another copy than the one that scores, because this one is trained
    scorer = load_reward_model(reward_folder, compute)
    return critic_from_reward_model(scorer, tokenizer, compute, finetuning=settings.finetuning, seed=seed)


def _save_checkpoint(stage: Stage, policy: Policy, folder: Path, step: int, *, start: Path) -> None:
    save_checkpoint(policy, folder / "checkpoints" / f"step-{step:05d}", start=start, root=stage.root)


def _save(stage: Stage, policy: Policy, tokenizer: PreTrainedTokenizerBase, folder: Path, *, start: Path) -> None:
    texts = read_text_format(start / FILE)
    save_policy(policy, tokenizer, folder, start=start, root=stage.root, texts=texts)


def check_gate(inputs: Path, settings: Ppo) -> None:
    """The reward model is good enough, as evaluate_reward measured it, or PPO stops here."""
    figures = json.loads((inputs / "gate.json").read_text())
    for warning in check_reward_gate(
        figures,
        min_accuracy=settings.min_reward_accuracy,
        require_above_longer_wins=settings.require_above_longer_wins,
    ):
        print(f"warning: {warning}", flush=True)


TRAINERS = {"dpo": optimize_dpo, "ppo": optimize_ppo, "hybrid": optimize_hybrid}

if __name__ == "__main__":
    run_stage(main, description=__doc__, matrix=("method", "seed"))
