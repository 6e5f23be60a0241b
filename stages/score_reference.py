"""score_reference: the inputs of DPO, training pairs with log-probs under the SFT policy, and validation pairs."""

from pipeline.data.tables import write_table
from pipeline.models.policy import load_tokenizer
from pipeline.models.stopping import listed_stop_ids
from pipeline.models.text_format import FILE, read_text_format
from pipeline.preferences.pair import read_pairs
from pipeline.preferences.scored import scored_records, tokenize_pairs, without_equal
from pipeline.scripts.reference import reference_logps
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage


def main(stage: Stage) -> None:
    """Tokenise both responses of each pair, drop what is too long, or equal in tokens (counted), score."""
    compute = stage.start_compute()
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    folder = stage.input("artifacts/sft")
    tokenizer = load_tokenizer(folder)
    accepted, held_out = (
        read_pairs(stage.input(f"artifacts/preferences/accepted/{split}.jsonl")) for split in ("train", "validation")
    )
    end = read_text_format(folder / FILE).end_of_turn
    stops = listed_stop_ids(tokenizer, stage.params.sampling.stop_tokens)
    longest = stage.params.score_reference.max_length
    short, validation = (
        tokenize_pairs(tokenizer, part, end_of_turn=end, stop_ids=stops, max_length=longest)
        for part in (accepted, held_out)
    )
    pairs = without_equal(short)
    logps = reference_logps(stage, folder, tokenizer, pairs, compute)
    stage.only_first_goes_on()
    write_table(stage.output("artifacts/inputs/dpo/pairs.jsonl"), scored_records(pairs, logps), "reference_pairs")
    # without log-probs: where training reads them, it scores them itself with the policy that it starts from
    rows = [pair.as_record() for pair in without_equal(validation)]
    write_table(stage.output("artifacts/inputs/dpo/validation.jsonl"), rows, "tokenized_pairs")
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
