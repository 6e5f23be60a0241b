"""collect_preferences: samples of the SFT policy ranked by the judge (RLAIF) or by people, or pairs as given."""

import json

from pipeline.data.records import write_records
from pipeline.data.splits import PAIR_SPLITS
from pipeline.judges.loading import load_judge
from pipeline.memory.fitting import check_fit
from pipeline.memory.readings import collection
from pipeline.memory.trainings import prompt_tokens
from pipeline.memory.work import Model
from pipeline.models.drawing import Truncation
from pipeline.models.folders import config_of
from pipeline.models.policy import load_policy, load_tokenizer
from pipeline.models.sampling import Sampler
from pipeline.preferences.collected import Collected
from pipeline.preferences.given_table import given_ties, read_given
from pipeline.preferences.prompts import SplitPrompt, prompts_in_splits, read_prompts
from pipeline.preferences.sampled import collect_ranked, sample_responses
from pipeline.preferences.voted import collect_labelled
from pipeline.progress import progress_bar
from pipeline.seeding import torch_generator
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage


def main(stage: Stage) -> None:
    """Write raw pairs, and what gave none."""
    prompts = {split: read_prompts(stage.input(f"artifacts/data/prompts/{split}.jsonl")) for split in PAIR_SPLITS}
    match stage.params.collect_preferences.source:
        case "given":
            fates = json.loads(stage.input("reports/data/metrics.json").read_text())
            found = Collected(read_given(stage.input("artifacts/data/pairs.jsonl")), given_ties(fates))
        case "labelled":
            found = collect_labelled(stage.input("data/labels"), prompts_in_splits(prompts))
        case "sampled":
            found = _collect_sampled(stage, prompts_in_splits(prompts))
    with progress_bar(found.pairs, title="pairs", unit="pair") as pairs:
        write_records(stage.output("artifacts/preferences/raw.jsonl"), (pair.as_record() for pair in pairs))
    write_records(stage.output("artifacts/preferences/verdicts.jsonl"), found.verdicts)
    told = found.document(prompts=sum(map(len, prompts.values())))
    print(f"{told.pairs} pairs from {told.prompts} prompts, {found.ties} ties", flush=True)
    stage.write_json("reports/preferences/collection.json", told.as_json())
    stage.log_final(told.as_json())


def _collect_sampled(stage: Stage, prompts: list[SplitPrompt]) -> Collected:
    settings, compute = stage.params.collect_preferences, stage.start_compute()
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    folder = stage.input("artifacts/sft")
    generator = torch_generator(stage.params.seed, "collect_preferences/samples")
    tokenizer = load_tokenizer(folder)
    lengths = prompt_tokens(tokenizer, [prompt.prompt for prompt in prompts])
    samples = len(prompts) * settings.samples_per_prompt
    network = Model.of(config_of(folder), writes=True)
    check_fit(collection(network, stage.params.sampling, prompts=lengths, samples=samples), stage.params.runtime)
    sampler = Sampler.of(
        load_policy(folder, compute, finetuning=None),
        tokenizer,
        stage.params.sampling,
        truncation=Truncation(settings.top_k, settings.top_p),
    )
    sampled = sample_responses(
        sampler, prompts, copies=settings.samples_per_prompt, generator=generator, resume=stage.resume
    )
    stage.costs.add_work(sampled.tokens, sampled.seconds)
    judge = load_judge(
        stage.input("artifacts/judge"), compute, endpoint=stage.judge_endpoint, store=stage.verdict_store
    )
    return collect_ranked(prompts, sampled.responses, judge, settings)


if __name__ == "__main__":
    run_stage(main, description=__doc__)
