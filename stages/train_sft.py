"""train_sft: supervised fine-tuning of the policy on the responses of real texts, or the policy as it is."""

from pathlib import Path

from pipeline.data.records import read_records
from pipeline.data.sft_texts import sft_examples, why_untrained
from pipeline.data.tokens import cut_response
from pipeline.memory.fitting import check_fit
from pipeline.memory.trainings import sft_work
from pipeline.memory.work import Example
from pipeline.models.checkpoints import checkpoint_bytes, keep_start, save_policy
from pipeline.models.folders import config_of
from pipeline.models.policy import load_policy, load_tokenizer
from pipeline.models.text_format import TextFormat, check_template, read_text_format
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage
from pipeline.training.optimizer import check_optimizer
from pipeline.training.run import TrainingRun
from pipeline.training.sft import train_sft


def main(stage: Stage) -> None:
    """Tokenise, train, save the policy; or hand it on as it is."""
    settings, seed = stage.params.train_sft, stage.params.seed
    base = stage.input("artifacts/models/policy")
    rows, held_out = (
        read_records(stage.input(f"artifacts/data/texts/{split}.jsonl"), fields=("prompt", "response", "ended"))
        for split in ("train", "validation")
    )
    texts = read_text_format(stage.input("artifacts/data/text_format.json"))
    brought = stage.params.models.policy.chat_template is None
    if reason := why_untrained(rows, texts.template, settings.skip, template_is_its_own=brought):
        hand_on(stage, base, texts, reason)
        return
    compute = stage.start_compute(output_bytes=checkpoint_bytes(base, settings.finetuning))
    tokenizer = load_tokenizer(base)
    check_template(tokenizer.chat_template, texts)
    examples, validation = (
        sft_examples(tokenizer, part, turns=settings.turns, end_of_turn=texts.end_of_turn)
        for part in (rows, held_out if settings.eval_steps else [])
    )
    cut = sum(len(example) > settings.max_length for example in examples)
    examples, validation = (
        [cut_response(example, settings.max_length) for example in part] for part in (examples, validation)
    )
    print(f"{len(examples)} texts, {cut} responses cut at {settings.max_length} tokens", flush=True)

    lengths = [Example.of_text(len(one.prompt_ids), len(one.response_ids)) for one in examples]
    check_optimizer(settings.optimizer)
    check_fit(sft_work(config_of(base), settings, lengths), stage.params.runtime)
    policy = load_policy(base, compute, finetuning=settings.finetuning, seed=seed)
    run = TrainingRun(compute, seed, stage.log_step, stage.costs.add_work, resume=stage.resume)
    train_sft(policy, examples, settings, run, pad_token_id=tokenizer.pad_token_id, validation=validation)
    save_policy(policy, tokenizer, stage.output("artifacts/sft"), start=base, root=stage.root, texts=texts)
    stage.write_history("reports/training/train_sft.jsonl")
    stage.log_final({"texts": len(examples), "cut_responses": cut})


def hand_on(stage: Stage, base: Path, texts: TextFormat, reason: str) -> None:
    """The policy as it is, its files under a second name."""
    print(f"{reason}, so the policy of models.policy goes on as it is.", flush=True)
    check_template(load_tokenizer(base).chat_template, texts)
    keep_start(base, stage.output("artifacts/sft"), texts)
    stage.log_step(0, {"texts": 0.0})
    stage.write_history("reports/training/train_sft.jsonl")
    stage.log_final({"texts": 0, "cut_responses": 0})


if __name__ == "__main__":
    run_stage(main, description=__doc__)
