"""collect_preferences: samples of the SFT policy ranked by the judge (RLAIF) or by people, or pairs as given."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from pipeline.data.labelled import labelled_pairs, read_ballots
from pipeline.data.preferences import given_pairs, given_ties, rank_samples
from pipeline.data.record_files import RecordFile
from pipeline.data.records import read_records, write_records
from pipeline.errors import PipelineError
from pipeline.judges.loading import load_judge
from pipeline.models.compute import Compute
from pipeline.models.decoding import Continuation, decode_responses
from pipeline.models.policy import load_policy, load_tokenizer
from pipeline.models.sampling import Sampler, Truncation, sample_batches
from pipeline.progress import progress_bar
from pipeline.seeding import torch_generator
from pipeline.stage.run import Stage, run_stage


@dataclass(frozen=True)
class Collected:
    """Raw pairs, prompts that gave none, and what is told of them."""

    pairs: Sequence[dict[str, Any]]
    ties: int
    details: dict[str, Any] = field(default_factory=dict)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    """Of a judge that keeps its own."""


def main(stage: Stage) -> None:
    """Write raw pairs, and what gave none."""
    prompts = [
        (split, RecordFile(stage.input(f"artifacts/data/prompts/{split}.jsonl")))
        for split in ("train", "validation", "test")
    ]
    count = sum(len(rows) for _, rows in prompts)
    match stage.params.collect_preferences.source:
        case "given":
            fates = json.loads(stage.input("reports/data/metrics.json").read_text())
            found = Collected(given_pairs(RecordFile(stage.input("artifacts/data/pairs.jsonl"))), given_ties(fates))
        case "labelled":
            found = _labelled(stage, _with_splits(prompts))
        case "sampled":
            found = _sampled(stage, _with_splits(prompts))
    with progress_bar(found.pairs, title="pairs", unit="pair") as pairs:
        write_records(stage.output("artifacts/preferences/raw.jsonl"), pairs)
    write_records(stage.output("artifacts/preferences/verdicts.jsonl"), found.verdicts)
    counts = {"pairs": len(found.pairs), "prompts": count, "ties_without_pair": found.ties, **found.details}
    print(f"{len(found.pairs)} pairs from {count} prompts, {found.ties} ties", flush=True)
    stage.write_json("reports/preferences/collection.json", counts)
    stage.log_final(counts)


def _with_splits(prompts: Sequence[tuple[str, RecordFile]]) -> list[dict[str, Any]]:
    return [
        {**row, "split": split}
        for split, rows in prompts
        for row in read_records(rows.path, fields=("id", "prompt", "category"))
    ]


def _labelled(stage: Stage, prompts: list[dict[str, Any]]) -> Collected:
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
    details = {"votes": found.votes, "compared": found.compared, "agreement": found.agreement}
    return Collected(found.pairs, found.undecided, details)


def _sampled(stage: Stage, prompts: list[dict[str, Any]]) -> Collected:
    """Pairs of the best and the worst sample, ties, and what the judge said."""
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
    return Collected(pairs, ties, {"judge_verdicts": counts} if counts else {}, judge.verdicts())


def _sample(stage: Stage, compute: Compute, prompts: list[str]) -> list[Continuation]:
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    folder = stage.input("artifacts/sft")
    tokenizer = load_tokenizer(folder)
    policy = load_policy(folder, compute, finetuning=None)
    settings = stage.params.collect_preferences
    truncation = Truncation(settings.top_k, settings.top_p)
    sampler = Sampler.of(policy, tokenizer, stage.params.sampling, truncation=truncation)
    start = perf_counter()
    batches = sample_batches(
        sampler,
        prompts,
        generator=torch_generator(stage.params.seed, "collect_preferences/samples", compute.device),
        title="sampling",
        resume=stage.resume,
    )
    stage.costs.add_work(sum(int(batch.attention_mask.sum()) for batch in batches), perf_counter() - start)
    return [one for batch in batches for one in decode_responses(batch, tokenizer, sampler.stop_ids)]


if __name__ == "__main__":
    run_stage(main, description=__doc__)
