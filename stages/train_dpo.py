"""train_dpo: train the SFT policy with DPO on the pairs and their cached reference log-probs, with one seed."""

from pipeline.models.checkpoints import PolicyFolder
from pipeline.models.policy import load_tokenizer
from pipeline.preferences.scored import read_scored_pairs, read_tokenized_pairs
from pipeline.scripts.dpo import load_networks
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage
from pipeline.training.dpo import train_dpo
from pipeline.training.run import TrainingRun
from pipeline.training.schedule import checkpoint_steps, supervised_steps


def main(stage: Stage, seed: str) -> None:
    """Train, save the policy with its checkpoints on the way."""
    settings = stage.params.optimize.dpo
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    sft = stage.input("artifacts/sft")
    pairs = read_scored_pairs(stage.input("artifacts/inputs/dpo/pairs.jsonl"))
    validation = read_tokenized_pairs(stage.input("artifacts/inputs/dpo/validation.jsonl"))
    output = PolicyFolder(stage.output(f"artifacts/training/dpo/seed-{seed}"), start=sft, root=stage.root)
    kept = checkpoint_steps(supervised_steps(len(pairs), settings), settings.save_steps)
    compute = stage.start_compute(output_bytes=output.size(settings.finetuning, checkpoints=len(kept)))

    tokenizer = load_tokenizer(sft)
    policy, reference = load_networks(stage, sft, pairs, compute, seed=int(seed))
    run = TrainingRun(
        compute,
        int(seed),
        on_step=stage.log_step,
        on_tokens=stage.costs.add_work,
        on_checkpoint=lambda step: output.save_step(policy, step),
        resume=stage.resume,
    )
    pad = tokenizer.pad_token_id
    step = train_dpo(policy, pairs, settings, run, pad_token_id=pad, reference=reference, validation=validation)
    stage.only_first_goes_on()
    output.save(policy, tokenizer, step=step)
    stage.write_history(f"reports/training/dpo/seed-{seed}.jsonl")


if __name__ == "__main__":
    run_stage(main, description=__doc__, stage="optimize_policy", place={"method": "dpo"}, matrix=("seed",))
