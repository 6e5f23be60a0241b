"""train_ppo: train the SFT policy with PPO on the training prompts and the reward model's scores, with one seed."""

from pipeline.models.checkpoints import PolicyFolder
from pipeline.scripts.ppo import train_policy
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage
from pipeline.training.ppo_inputs import PpoInputs


def main(stage: Stage, seed: str) -> None:
    """Train, save the policy with its checkpoints on the way."""
    sft, inputs = stage.input("artifacts/sft"), PpoInputs.read(stage.input("artifacts/inputs/ppo"))
    output = PolicyFolder(stage.output(f"artifacts/training/ppo/seed-{seed}"), start=sft, root=stage.root)
    train_policy(stage, stage.params.optimize.ppo, inputs, output, seed=int(seed))
    stage.write_history(f"reports/training/ppo/seed-{seed}.jsonl")


if __name__ == "__main__":
    run_stage(main, description=__doc__, stage="optimize_policy", place={"method": "ppo"}, matrix=("seed",))
