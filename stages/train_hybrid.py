"""train_hybrid: PPO from the first method's policy, on prompts of the categories that it made worse, with one seed.

The KL is still that to the SFT policy. Step 1 of the history and of the checkpoints is where it starts; iteration i of
PPO is step 1 + i.
"""

from pipeline.models.checkpoints import PolicyFolder, keep_checkpoint
from pipeline.scripts.ppo import train_policy
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage
from pipeline.training.ppo_inputs import PpoInputs


def main(stage: Stage, seed: str) -> None:
    """Train, save the policy with its checkpoints on the way; where no category has regressed, it stays as it is."""
    folder = stage.input(f"artifacts/inputs/hybrid/seed-{seed}")
    start, inputs = folder / "policy", PpoInputs.read(folder)
    output = PolicyFolder(stage.output(f"artifacts/training/hybrid/seed-{seed}"), start=start, root=stage.root)
    stage.log_step(1, {"prompts": len(inputs.prompts)})
    if inputs.prompts:
        train_policy(stage, stage.params.optimize.hybrid, inputs, output, seed=int(seed), first_step=1)
    else:
        print("no category has regressed: hybrid is the first method's policy", flush=True)
        stage.only_first_goes_on()
        keep_checkpoint(start, start, output.folder)
    stage.write_history(f"reports/training/hybrid/seed-{seed}.jsonl")


if __name__ == "__main__":
    run_stage(main, description=__doc__, stage="optimize_policy", place={"method": "hybrid"}, matrix=("seed",))
