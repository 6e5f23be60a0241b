"""collect_preferences: samples of the SFT policy ranked by the judge (RLAIF) or by people, or pairs as given."""

from time import perf_counter
from typing import Any

from pipeline.data.labelled import labelled_pairs, read_ballots
from pipeline.data.preferences import given_pairs, rank_samples
from pipeline.data.records import read_records, write_records
from pipeline.errors import PipelineError
from pipeline.judges.loading import load_judge
from pipeline.models.compute import Compute
from pipeline.models.policy import load_policy, load_tokenizer
from pipeline.models.sampling import Continuation, decode_responses, sample_batches
from pipeline.seeding import torch_generator
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage) -> None:
    """Write raw pairs, and what gave none."""
    settings = stage.params.collect_preferences
    prompts = [
        {**row, "split": split}
        for split in ("train", "validation", "test")
        for row in read_records(stage.input(f"artifacts/data/prompts/{split}.jsonl"), fields=("id", "prompt"))
    ]
    verdicts: list[dict[str, Any]] = []
    details: dict[str, Any] = {}
    match settings.source:
        case "given":
            pairs, ties = given_pairs(read_records(stage.input("artifacts/data/pairs.jsonl"))), 0
        case "labelled":
            pairs, ties, details = _labelled(stage, prompts)
        case "sampled":
            pairs, ties, verdicts, details = _sampled(stage, prompts)
    write_records(stage.output("artifacts/preferences/raw.jsonl"), pairs)
    write_records(stage.output("artifacts/preferences/verdicts.jsonl"), verdicts)
    counts = {"pairs": len(pairs), "prompts": len(prompts), "ties_without_pair": ties, **details}
    print(f"{len(pairs)} pairs from {len(prompts)} prompts, {ties} ties", flush=True)
    stage.write_json("reports/preferences/collection.json", counts)
    stage.log_final(counts)


def _labelled(stage: Stage, prompts: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int, dict[str, Any]]:
    """Pairs, undecided ones, and the fate of every vote."""
    ballots = read_ballots(stage.input("data/labels"))
    for name in ballots.torn:
        print(
            f"warning: the last line of data/labels/{name} was cut off; the vote in it was never confirmed.", flush=True
        )
    found = labelled_pairs(ballots, prompts)
    if not found.pairs:
        raise PipelineError(
            f"data/labels: no vote gives a pair ({found.votes}). prompt_in_no_split counts votes on prompts that are "
            "not in artifacts/data/prompts/{train,validation,test}.jsonl; label the samples of this policy with "
            "`make label`, or set collect_preferences.source to sampled."
        )
    return (
        found.pairs,
        found.undecided,
        {
            "votes": found.votes,
            "compared": found.compared,
            "agreement": found.agreement,
        },
    )


def _sampled(
    stage: Stage, prompts: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], int, list[dict[str, Any]], dict[str, Any]]:
    """Pairs, ties, the judge's verdicts as data, and their counts."""
    settings = stage.params.collect_preferences
    compute = stage.start_compute()
    samples = _sample(stage, compute, [row["prompt"] for row in prompts for _ in range(settings.samples_per_prompt)])
    judge = load_judge(
        stage.input("artifacts/judge"), compute, endpoint=stage.judge_endpoint, store=stage.verdict_store
    )
    pairs, ties = rank_samples(
        prompts, samples, judge, copies=settings.samples_per_prompt, min_margin=settings.min_margin
    )
    counts = judge.counts()
    return pairs, ties, judge.verdicts(), {"judge_verdicts": counts} if counts else {}


def _sample(stage: Stage, compute: Compute, prompts: list[str]) -> list[Continuation]:
    folder = stage.input("artifacts/sft")
    tokenizer = load_tokenizer(folder)
    policy = load_policy(folder, compute, finetuning=None)
    start = perf_counter()
    batches = sample_batches(
        policy,
        tokenizer,
        prompts,
        sampling=stage.params.sampling,
        generator=torch_generator(stage.params.seed, "collect_preferences/samples", compute.device),
        title="sampling",
        resume=stage.resume,
    )
    stage.costs.add_work(sum(int(batch.attention_mask.sum()) for batch in batches), perf_counter() - start)
    return [one for batch in batches for one in decode_responses(batch, tokenizer)]


if __name__ == "__main__":
    run_stage(main, description=__doc__)
