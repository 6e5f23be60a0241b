"""train_dpo: train the SFT policy with DPO on the pairs and their cached reference log-probs, with one seed."""

from pipeline.memory.fitting import check_fit
from pipeline.memory.trainings import dpo_examples, dpo_work
from pipeline.models.checkpoints import PolicyFolder
from pipeline.models.folders import config_of
from pipeline.models.policy import load_policy, load_reference, load_tokenizer
from pipeline.preferences.scored import read_scored_pairs, read_tokenized_pairs
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage
from pipeline.training.dpo import train_dpo
from pipeline.training.optimizer import check_optimizer
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

    examples = dpo_examples([(pair.chosen, pair.rejected) for pair in pairs])
    check_optimizer(settings.optimizer)
    check_fit(dpo_work(config_of(sft), settings, examples), stage.params.runtime)
    tokenizer = load_tokenizer(sft)
    policy = load_policy(sft, compute, finetuning=settings.finetuning, seed=int(seed))
    copied = settings.reference == "frozen_copy"
    tuning = settings.finetuning
    reference = load_reference(sft, compute, method=tuning.method, quantization=tuning.quantization) if copied else None
    run = TrainingRun(
        compute,
        int(seed),
        on_step=stage.log_step,
        on_tokens=stage.costs.add_work,
        on_checkpoint=lambda step: output.save_step(policy, step),
        resume=stage.resume,
    )
    step = train_dpo(
        policy,
        pairs,
        settings,
        run,
        pad_token_id=tokenizer.pad_token_id,
        reference=reference,
        validation=validation,
    )
    output.save(policy, tokenizer, step=step)
    stage.write_history(f"reports/training/dpo/seed-{seed}.jsonl")


if __name__ == "__main__":
    run_stage(main, description=__doc__, stage="optimize_policy", place={"method": "dpo"}, matrix=("seed",))
