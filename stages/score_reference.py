"""score_reference: log-probs of every training pair under the frozen SFT policy, the inputs of DPO."""

from time import perf_counter

from pipeline.data.records import read_records
from pipeline.data.tables import write_table
from pipeline.data.tokens import tokenize_example
from pipeline.models.policy import load_reference, load_tokenizer
from pipeline.models.scoring import score_responses
from pipeline.models.stopping import listed_stop_ids
from pipeline.models.text_format import FILE, read_text_format
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage) -> None:
    """Tokenise both responses of each pair, drop what is too long (counted), score."""
    settings = stage.params.score_reference
    compute = stage.start_compute()
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    folder = stage.input("artifacts/sft")
    tokenizer = load_tokenizer(folder)
    rows = read_records(stage.input("artifacts/preferences/accepted/train.jsonl"))
    end = read_text_format(folder / FILE).end_of_turn
    stops = listed_stop_ids(tokenizer, stage.params.sampling.stop_tokens)
    pairs = [
        tuple(
            tokenize_example(
                tokenizer, row["prompt"], row[side], ended=row[f"{side}_ended"], end_of_turn=end, stop_ids=stops
            )
            for side in SIDES
        )
        for row in rows
    ]
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
        {
            "id": rows[i]["id"],
            **{f"{side}_prompt_ids": pairs[i][k].prompt_ids for k, side in enumerate(SIDES)},
            **{f"{side}_response_ids": pairs[i][k].response_ids for k, side in enumerate(SIDES)},
            **{f"ref_{side}_logps": logps[2 * at + k] for k, side in enumerate(SIDES)},
        }
        for at, i in enumerate(kept)
    ]
    write_table(stage.output("artifacts/inputs/dpo/pairs.jsonl"), records, "reference_pairs")
    counts = {"pairs": len(rows), "scored": len(kept), "dropped_too_long": len(rows) - len(kept)}
    print(counts, flush=True)
    stage.log_final(counts)


SIDES = ("chosen", "rejected")

if __name__ == "__main__":
    run_stage(main, description=__doc__)
