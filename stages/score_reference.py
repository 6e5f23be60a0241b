"""score_reference: log-probs of every training pair under the frozen SFT policy, the inputs of DPO."""

from time import perf_counter

from pipeline.data.tables import write_table
from pipeline.models.policy import load_reference, load_tokenizer
from pipeline.models.scoring import score_responses
from pipeline.models.stopping import listed_stop_ids
from pipeline.models.text_format import FILE, read_text_format
from pipeline.preferences.pair import read_pairs
from pipeline.preferences.scored import ScoredPair, tokenize_pair
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage) -> None:
    """Tokenise both responses of each pair, drop what is too long (counted), score."""
    settings = stage.params.score_reference
    compute = stage.start_compute()
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    folder = stage.input("artifacts/sft")
    tokenizer = load_tokenizer(folder)
    accepted = read_pairs(stage.input("artifacts/preferences/accepted/train.jsonl"))
    end = read_text_format(folder / FILE).end_of_turn
    stops = listed_stop_ids(tokenizer, stage.params.sampling.stop_tokens)
    pairs = [tokenize_pair(tokenizer, pair, end_of_turn=end, stop_ids=stops) for pair in accepted]
    kept = [i for i, pair in enumerate(pairs) if max(map(len, pair)) <= settings.max_length]
    policy = load_reference(folder, compute, method=stage.params.optimize.dpo.finetuning.method)
    start = perf_counter()
    examples = [example for i in kept for example in pairs[i]]
    logps = score_responses(
        policy,
        examples,
        compute,
        pad_token_id=tokenizer.pad_token_id,
        batch_size=2 * settings.batch_size,
        title="reference log-probs",
    )
    stage.costs.add_work(sum(map(len, examples)), perf_counter() - start)
    records = [
        ScoredPair(*pairs[i], logps[2 * at], logps[2 * at + 1]).as_record(accepted[i].id) for at, i in enumerate(kept)
    ]
    write_table(stage.output("artifacts/inputs/dpo/pairs.jsonl"), records, "reference_pairs")
    counts = {"pairs": len(accepted), "scored": len(kept), "dropped_too_long": len(accepted) - len(kept)}
    print(counts, flush=True)
    stage.log_final(counts)


if __name__ == "__main__":
    run_stage(main, description=__doc__)
