"""PPO as train_ppo and train_hybrid run it: what is checked before weights are loaded, the training, what is saved."""

from functools import partial

from pipeline.memory.fitting import check_fit
from pipeline.memory.trainings import ppo_work, prompt_tokens
from pipeline.models.checkpoints import PolicyFolder
from pipeline.models.chunked_sampling import cut_notice
from pipeline.models.compute import Compute
from pipeline.models.folders import config_of
from pipeline.models.policy import load_tokenizer
from pipeline.params.optimize import Ppo
from pipeline.stage.execution import Stage
from pipeline.stage.sample_table import log_samples
from pipeline.training.optimizer import check_optimizer
from pipeline.training.ppo import ppo_iterations, train_ppo
from pipeline.training.ppo_inputs import PpoInputs
from pipeline.training.roles import RoleFolders, load_roles
from pipeline.training.run import TrainingRun
from pipeline.training.schedule import checkpoint_steps


def output_bytes(output: PolicyFolder, settings: Ppo) -> int:
    """What the policy and its checkpoints will take on the disk."""
    kept = checkpoint_steps(ppo_iterations(settings), settings.save_steps)
    return output.size(settings.finetuning, checkpoints=len(kept))


def train_policy(
    stage: Stage, settings: Ppo, inputs: PpoInputs, output: PolicyFolder, compute: Compute, *, seed: int
) -> None:
    """Train from the policy that `output` starts from, against the SFT policy as the reference, and save.

    Steps of PPO are numbered from 1. Hybrid has made one step before: where it starts is a checkpoint of its own, and
    not its reference, which is therefore a model apart.

    Raises:
        PipelineError: the reward model is not good enough, or the memory too small.
    """
    sft = stage.input("artifacts/sft")
    method, before = ("hybrid", 1) if output.start != sft else ("ppo", 0)
    for warning in inputs.check_gate(settings):
        print(f"warning: {warning}", flush=True)
    tokenizer = load_tokenizer(sft)
    if notice := cut_notice(tokenizer, inputs.sampling, inputs.prompts):
        print(notice, flush=True)
    work = ppo_work(
        config_of(sft),
        config_of(inputs.reward_model),
        settings,
        section=f"optimize.{method}",
        prompts=prompt_tokens(tokenizer, inputs.prompts),
        new_tokens=inputs.sampling.max_new_tokens,
        apart=output.start != sft,
    )
    check_optimizer(settings.optimizer)
    check_fit(work, stage.params.runtime)
    folders = RoleFolders(policy=output.start, reference=sft, reward_model=inputs.reward_model)
    roles = load_roles(folders, settings, tokenizer, compute, seed=seed)
    run = TrainingRun(
        compute,
        seed,
        on_step=lambda step, metrics: stage.log_step(before + step, metrics),
        on_tokens=stage.costs.add_work,
        on_checkpoint=lambda step: output.save_step(roles.policy, before + step),
        on_samples=partial(log_samples, stage.tracker),
        resume=stage.resume,
    )
    train_ppo(roles, inputs.prompts, settings, inputs.sampling, run)
    output.save(roles.policy, tokenizer)
