"""train_ppo: train the SFT policy with PPO on the training prompts and the reward model's scores, with one seed."""

from functools import partial

from pipeline.memory.fitting import check_fit
from pipeline.memory.trainings import ppo_work, prompt_tokens
from pipeline.models.checkpoints import PolicyFolder
from pipeline.models.chunked_sampling import cut_notice
from pipeline.models.folders import config_of
from pipeline.models.policy import load_tokenizer
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage
from pipeline.stage.sample_table import log_samples
from pipeline.training.optimizer import check_optimizer
from pipeline.training.ppo import ppo_iterations, train_ppo
from pipeline.training.ppo_inputs import PpoInputs
from pipeline.training.roles import RoleFolders, load_roles
from pipeline.training.run import TrainingRun
from pipeline.training.schedule import checkpoint_steps


def main(stage: Stage, seed: str) -> None:
    """Train, save the policy with its checkpoints on the way."""
    settings = stage.params.optimize.ppo
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    sft, inputs = stage.input("artifacts/sft"), PpoInputs.read(stage.input("artifacts/inputs/ppo"))
    for warning in inputs.check_gate(settings):
        print(f"warning: {warning}", flush=True)
    output = PolicyFolder(stage.output(f"artifacts/training/ppo/seed-{seed}"), start=sft, root=stage.root)
    kept = checkpoint_steps(ppo_iterations(settings), settings.save_steps)
    compute = stage.start_compute(output_bytes=output.size(settings.finetuning, checkpoints=len(kept)))

    tokenizer = load_tokenizer(sft)
    if notice := cut_notice(tokenizer, inputs.sampling, inputs.prompts):
        print(notice, flush=True)
    work = ppo_work(
        config_of(sft),
        config_of(inputs.reward_model),
        settings,
        section="optimize.ppo",
        prompts=prompt_tokens(tokenizer, inputs.prompts),
        new_tokens=inputs.sampling.max_new_tokens,
    )
    check_optimizer(settings.optimizer)
    check_fit(work, stage.params.runtime)
    folders = RoleFolders(policy=sft, reference=sft, reward_model=inputs.reward_model)
    roles = load_roles(folders, settings, tokenizer, compute, seed=int(seed))
    run = TrainingRun(
        compute,
        int(seed),
        on_step=stage.log_step,
        on_tokens=stage.costs.add_work,
        on_checkpoint=lambda step: output.save_step(roles.policy, step),
        on_samples=partial(log_samples, stage.tracker),
        resume=stage.resume,
    )
    train_ppo(roles, inputs.prompts, settings, inputs.sampling, run)
    output.save(roles.policy, tokenizer)
    stage.write_history(f"reports/training/ppo/seed-{seed}.jsonl")


if __name__ == "__main__":
    run_stage(main, description=__doc__, stage="optimize_policy", place={"method": "ppo"}, matrix=("seed",))
