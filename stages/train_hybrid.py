"""train_hybrid: PPO from the first method's policy, on prompts of the categories that it made worse, with one seed.

The KL is still that to the SFT policy. Step 1 of the history and of the checkpoints is where it starts; iteration i of
PPO is step 1 + i.
"""

from functools import partial

from pipeline.memory.fitting import check_fit
from pipeline.memory.trainings import ppo_work, prompt_tokens
from pipeline.models.checkpoints import PolicyFolder, keep_checkpoint
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
    """Train, save the policy with its checkpoints on the way; where no category has regressed, it stays as it is."""
    folder = stage.input(f"artifacts/inputs/hybrid/seed-{seed}")
    start, inputs = folder / "policy", PpoInputs.read(folder)
    output = PolicyFolder(stage.output(f"artifacts/training/hybrid/seed-{seed}"), start=start, root=stage.root)
    stage.log_step(1, {"prompts": len(inputs.prompts)})
    if inputs.prompts:
        train(stage, inputs, output, seed=int(seed))
    else:
        print("no category has regressed: hybrid is the first method's policy", flush=True)
        keep_checkpoint(start, start, output.folder)
    stage.write_history(f"reports/training/hybrid/seed-{seed}.jsonl")


def train(stage: Stage, inputs: PpoInputs, output: PolicyFolder, *, seed: int) -> None:
    """PPO as in train_ppo, but away from the reference, which is therefore a model of its own."""
    settings = stage.params.optimize.hybrid
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    sft = stage.input("artifacts/sft")
    for warning in inputs.check_gate(settings):
        print(f"warning: {warning}", flush=True)
    kept = checkpoint_steps(ppo_iterations(settings), settings.save_steps)
    compute = stage.start_compute(output_bytes=output.size(settings.finetuning, checkpoints=len(kept)))

    tokenizer = load_tokenizer(sft)
    if notice := cut_notice(tokenizer, inputs.sampling, inputs.prompts):
        print(notice, flush=True)
    work = ppo_work(
        config_of(sft),
        config_of(inputs.reward_model),
        settings,
        section="optimize.hybrid",
        prompts=prompt_tokens(tokenizer, inputs.prompts),
        new_tokens=inputs.sampling.max_new_tokens,
        apart=True,
    )
    check_optimizer(settings.optimizer)
    check_fit(work, stage.params.runtime)
    folders = RoleFolders(policy=output.start, reference=sft, reward_model=inputs.reward_model)
    roles = load_roles(folders, settings, tokenizer, compute, seed=seed)
    run = TrainingRun(
        compute,
        seed,
        on_step=lambda iteration, metrics: stage.log_step(1 + iteration, metrics),
        on_tokens=stage.costs.add_work,
        on_checkpoint=lambda iteration: output.save_step(roles.policy, 1 + iteration),
        on_samples=partial(log_samples, stage.tracker),
        resume=stage.resume,
    )
    train_ppo(roles, inputs.prompts, settings, inputs.sampling, run)
    output.save(roles.policy, tokenizer)


if __name__ == "__main__":
    run_stage(main, description=__doc__, stage="optimize_policy", place={"method": "hybrid"}, matrix=("seed",))
