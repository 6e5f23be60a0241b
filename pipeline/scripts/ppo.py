"""PPO as train_ppo and train_hybrid run it: what is checked before weights are loaded, the training, what is saved."""

from functools import partial

from pipeline.memory.trainings import ppo_work, prompt_tokens
from pipeline.models.checkpoints import PolicyFolder
from pipeline.models.chunked_sampling import cut_notice
from pipeline.models.folders import config_of
from pipeline.models.policy import load_tokenizer
from pipeline.params.optimize import Ppo
from pipeline.scripts.engine import sampling_engine
from pipeline.scripts.starting import check_training
from pipeline.stage.execution import Stage
from pipeline.stage.sample_table import log_samples
from pipeline.training.ppo import ppo_iterations, train_ppo
from pipeline.training.ppo_inputs import PpoInputs
from pipeline.training.roles import RoleFolders, load_roles
from pipeline.training.run import TrainingRun
from pipeline.training.schedule import checkpoint_steps


def train_policy(
    stage: Stage, settings: Ppo, inputs: PpoInputs, output: PolicyFolder, *, seed: int, first_step: int = 0
) -> None:
    """Train from the policy that `output` starts from, against the SFT policy as the reference, and save.

    Args:
        first_step: step of the policy that training starts from, in history and checkpoints; iteration i of PPO is
            this step plus i.

    Raises:
        PipelineError: the reward model is not good enough, the optimiser is not installed, or the memory too small.
    """
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
        method="ppo" if output.start == sft else "hybrid",
        prompts=prompt_tokens(tokenizer, inputs.prompts),
        new_tokens=inputs.sampling.max_new_tokens,
        max_prompt_tokens=inputs.sampling.max_prompt_tokens,
    )
    check_training(work, stage.params.runtime)
    folders = RoleFolders(policy=output.start, reference=sft, reward_model=inputs.reward_model)
    roles = load_roles(folders, settings, tokenizer, compute, seed=seed)
    run = TrainingRun(
        compute,
        seed,
        on_step=lambda iteration, metrics: stage.log_step(first_step + iteration, metrics),
        on_tokens=stage.costs.add_work,
        on_checkpoint=lambda iteration: output.save_step(roles.policy, first_step + iteration),
        on_samples=partial(log_samples, stage.tracker),
        resume=stage.resume,
    )
    engine = sampling_engine(stage, inputs.sampling)
    train_ppo(roles, inputs.prompts, settings, inputs.sampling, run, engine=engine)
    stage.only_first_goes_on()
    output.save(roles.policy, tokenizer)
