"""optimize_policy: train the SFT policy on preferences, with one of optimize.methods."""

import json
from pathlib import Path

from pipeline.data.records import read_records
from pipeline.data.tokens import TokenizedExample
from pipeline.errors import PipelineError
from pipeline.models.checkpoints import save_frontier_checkpoint, save_policy
from pipeline.models.compute import Compute
from pipeline.models.critic import Critic, critic_from_policy, critic_from_reward_model
from pipeline.models.folders import stored_dtype
from pipeline.models.policy import load_policy, load_tokenizer
from pipeline.models.reward import load_reward_model
from pipeline.models.text_format import FILE, check_same_texts, read_text_format
from pipeline.params.optimize import Ppo
from pipeline.params.schema import Sampling
from pipeline.stage.run import Stage, run_stage
from pipeline.training.dpo import ScoredPair, train_dpo
from pipeline.training.ppo import train_ppo
from pipeline.training.reward_gate import check_reward_gate
from pipeline.training.rollout import Roles


def main(stage: Stage, method: str) -> None:
    """Train with `method` and save the policy with its checkpoints on the way."""
    if method not in TRAINERS:
        raise PipelineError(f"unknown method {method!r}; optimize.methods takes {', '.join(TRAINERS)}")
    TRAINERS[method](stage)
    stage.write_history(f"reports/training/{method}.jsonl")


def optimize_dpo(stage: Stage) -> None:
    """DPO on the training pairs, with the cached reference log-probs."""
    settings, seed = stage.params.optimize.dpo, stage.params.seed
    pairs = [
        ScoredPair(
            TokenizedExample(row["chosen_prompt_ids"], row["chosen_response_ids"]),
            TokenizedExample(row["rejected_prompt_ids"], row["rejected_response_ids"]),
            row["ref_chosen_logps"],
            row["ref_rejected_logps"],
        )
        for row in read_records(stage.input("artifacts/inputs/dpo/pairs.jsonl"))
    ]
    sft = stage.input("artifacts/sft")
    compute = stage.start_compute(like=sft, copies=2 * (1 + settings.frontier_checkpoints))
    tokenizer = load_tokenizer(sft)
    policy = load_policy(sft, compute, finetuning=settings.finetuning, seed=seed)
    folder = stage.output("artifacts/policies/dpo")
    train_dpo(
        policy,
        pairs,
        settings,
        compute,
        reference=load_policy(sft, compute, finetuning=None) if settings.reference == "frozen_copy" else None,
        pad_token_id=tokenizer.pad_token_id,
        seed=seed,
        on_step=stage.log_step,
        on_tokens=stage.costs.add_work,
        resume=stage.resume,
        on_checkpoint=lambda step: save_frontier_checkpoint(
            policy, folder / "checkpoints" / f"step-{step:05d}", dtype=stored_dtype(sft)
        ),
    )
    save_policy(policy, tokenizer, folder, dtype=stored_dtype(sft), texts=read_text_format(sft / FILE))


def optimize_ppo(stage: Stage) -> None:
    """PPO on the training prompts, with the reward model's scores."""
    settings, seed = stage.params.optimize.ppo, stage.params.seed
    check_gate(stage, settings)
    prompts = read_records(stage.input("artifacts/inputs/ppo/prompts.jsonl"), fields=("prompt",))
    sampling = Sampling.model_validate_json(stage.input("artifacts/inputs/ppo/sampling.json").read_text())
    sft = stage.input("artifacts/sft")
    compute = stage.start_compute(like=sft, copies=2 * (1 + settings.frontier_checkpoints))
    tokenizer = load_tokenizer(sft)
    with_critic = settings.advantage_estimator == "gae"
    shared = with_critic and settings.critic == "shared"
    policy = load_policy(sft, compute, finetuning=settings.finetuning, seed=seed, with_values=shared)
    reward_folder = stage.input("artifacts/inputs/ppo/reward_model")
    check_same_texts(sft, reward_folder)
    reward_model = load_reward_model(reward_folder, compute)
    roles = Roles(
        policy=policy,
        # adapters switched off are the reference; full fine-tuning needs a frozen copy
        reference=None if policy.has_adapters else load_policy(sft, compute, finetuning=None),
        critic=_critic(settings, sft, reward_folder, compute, seed=seed) if with_critic and not shared else None,
        score=lambda texts: reward_model.score(texts, batch_size=settings.rollout_batch_size),
        tokenizer=tokenizer,
    )
    folder = stage.output("artifacts/policies/ppo")
    train_ppo(
        roles,
        [row["prompt"] for row in prompts],
        settings,
        sampling,
        compute,
        seed=seed,
        on_step=stage.log_step,
        on_tokens=stage.costs.add_work,
        resume=stage.resume,
        on_checkpoint=lambda step: save_frontier_checkpoint(
            policy, folder / "checkpoints" / f"step-{step:05d}", dtype=stored_dtype(sft)
        ),
    )
    save_policy(policy, tokenizer, folder, dtype=stored_dtype(sft), texts=read_text_format(sft / FILE))


def _critic(settings: Ppo, sft: Path, reward_folder: Path, compute: Compute, *, seed: int) -> Critic:
    """A critic of its own, not a value head on the policy's backbone."""
    if settings.critic == "policy":
        return critic_from_policy(sft, compute, finetuning=settings.finetuning, seed=seed)
    # another copy than the one that scores, because this one is trained
    start = load_reward_model(reward_folder, compute)
    return critic_from_reward_model(start, load_tokenizer(sft), compute, finetuning=settings.finetuning, seed=seed)


def check_gate(stage: Stage, settings: Ppo) -> None:
    """The reward model is good enough, as evaluate_reward measured it, or PPO stops here."""
    figures = json.loads(stage.input("artifacts/inputs/ppo/gate.json").read_text())
    for warning in check_reward_gate(
        figures,
        min_accuracy=settings.min_reward_accuracy,
        require_above_longer_wins=settings.require_above_longer_wins,
    ):
        print(f"warning: {warning}", flush=True)


TRAINERS = {"dpo": optimize_dpo, "ppo": optimize_ppo}

if __name__ == "__main__":
    run_stage(main, description=__doc__, variant="method")
