"""score_reference: the inputs of DPO, training pairs with log-probs under the SFT policy, and validation pairs."""

from time import perf_counter

from pipeline.data.tables import write_table
from pipeline.models.policy import load_tokenizer
from pipeline.models.scoring import score_responses
from pipeline.models.stopping import listed_stop_ids
from pipeline.models.text_format import FILE, read_text_format
from pipeline.preferences.pair import read_pairs
from pipeline.preferences.scored import scored_records, tokenize_pairs, tokenized_records, without_equal
from pipeline.scripts.reference import open_reference
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage


def main(stage: Stage) -> None:
    """Tokenise both responses of each pair, drop what is too long, or equal in tokens (counted), score."""
    settings = stage.params.score_reference
    compute = stage.start_compute()
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    folder = stage.input("artifacts/sft")
    tokenizer = load_tokenizer(folder)
    accepted, validation = (
        read_pairs(stage.input(f"artifacts/preferences/accepted/{split}.jsonl")) for split in ("train", "validation")
    )
    end = read_text_format(folder / FILE).end_of_turn
    stops = listed_stop_ids(tokenizer, stage.params.sampling.stop_tokens)
    short, held_out = (
        tokenize_pairs(tokenizer, part, end_of_turn=end, stop_ids=stops, max_length=settings.max_length)
        for part in (accepted, validation)
    )
    pairs = without_equal(short)
    examples = [example for _, *sides in pairs for example in sides]
    policy = open_reference(stage, folder, pairs, compute)
    start = perf_counter()
    logps = score_responses(
        policy,
        examples,
        compute,
        pad_token_id=tokenizer.pad_token_id,
        batch_size=2 * settings.batch_size,
        title="reference log-probs",
    )
    stage.costs.add_work(sum(map(len, examples)), perf_counter() - start)
    write_table(stage.output("artifacts/inputs/dpo/pairs.jsonl"), scored_records(pairs, logps), "reference_pairs")
    # without log-probs: where training reads them, it scores them itself with the policy that it starts from
    write_table(
        stage.output("artifacts/inputs/dpo/validation.jsonl"),
        tokenized_records(without_equal(held_out)),
        "tokenized_pairs",
    )
    counts = {
        "pairs": len(accepted),
        "scored": len(pairs),
        "dropped_too_long": len(accepted) - len(short),
        "dropped_equal": len(short) - len(pairs),
    }
    print(counts, flush=True)
    stage.log_final(counts)


if __name__ == "__main__":
    run_stage(main, description=__doc__)
