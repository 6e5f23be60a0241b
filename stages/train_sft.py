"""train_sft: supervised fine-tuning of the policy on the responses of real texts, or the policy as it is."""

from pipeline.data.records import read_records
from pipeline.data.sft_texts import cut_responses, sft_examples, why_untrained
from pipeline.models.checkpoints import checkpoint_bytes, save_policy
from pipeline.models.policy import load_tokenizer
from pipeline.models.text_format import check_template, read_text_format
from pipeline.scripts.sft import keep_policy, start_policy
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage
from pipeline.training.run import TrainingRun
from pipeline.training.sft import train_sft


def main(stage: Stage) -> None:
    """Tokenise, train, save the policy; or hand it on as it is."""
    settings, base = stage.params.train_sft, stage.input("artifacts/models/policy")
    rows, held_out = (
        read_records(stage.input(f"artifacts/data/texts/{split}.jsonl"), fields=("prompt", "response", "ended"))
        for split in ("train", "validation")
    )
    texts = read_text_format(stage.input("artifacts/data/text_format.json"))
    brought = stage.params.models.policy.chat_template is None
    if reason := why_untrained(rows, texts.template, settings.skip, template_is_its_own=brought):
        keep_policy(stage, base, texts, reason)
        return
    compute = stage.start_compute(output_bytes=checkpoint_bytes(base, settings.finetuning))
    tokenizer = load_tokenizer(base)
    check_template(tokenizer.chat_template, texts)
    whole, validation = (
        sft_examples(tokenizer, part, turns=settings.turns, end_of_turn=texts.end_of_turn)
        for part in (rows, held_out if settings.eval_steps else [])
    )
    examples, cut = cut_responses(whole, settings.max_length)
    validation, _ = cut_responses(validation, settings.max_length)
    print(f"{len(examples)} texts, {cut} responses cut at {settings.max_length} tokens", flush=True)

    policy = start_policy(stage, base, examples, compute)
    run = TrainingRun(compute, stage.params.seed, stage.log_step, stage.costs.add_work, resume=stage.resume)
    train_sft(policy, examples, settings, run, pad_token_id=tokenizer.pad_token_id, validation=validation)
    stage.only_first_goes_on()
    save_policy(policy, tokenizer, stage.output("artifacts/sft"), start=base, root=stage.root, texts=texts)
    stage.write_history("reports/training/train_sft.jsonl")
    stage.log_final({"texts": len(examples), "cut_responses": cut})


if __name__ == "__main__":
    run_stage(main, description=__doc__)
