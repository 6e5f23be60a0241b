"""collect_preferences: samples of the SFT policy ranked by the judge (RLAIF) or by people, or pairs as given."""

import json

from pipeline.data.records import write_records
from pipeline.data.splits import PAIR_SPLITS
from pipeline.preferences.collected import Collected
from pipeline.preferences.given_table import given_ties, read_given
from pipeline.preferences.prompts import prompts_in_splits, read_prompts
from pipeline.preferences.voted import collect_labelled
from pipeline.progress import progress_bar
from pipeline.scripts.sampled_pairs import collect_sampled
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
            found = collect_sampled(stage, prompts_in_splits(prompts))
    stage.only_first_goes_on()
    with progress_bar(found.pairs, title="pairs", unit="pair") as pairs:
        write_records(stage.output("artifacts/preferences/raw.jsonl"), (pair.as_record() for pair in pairs))
    write_records(stage.output("artifacts/preferences/verdicts.jsonl"), found.verdicts)
    told = found.document(prompts=sum(map(len, prompts.values())))
    print(f"{told.pairs} pairs from {told.prompts} prompts, {found.ties} ties", flush=True)
    stage.write_json("reports/preferences/collection.json", told.as_json())
    stage.log_final(told.as_json())


if __name__ == "__main__":
    run_stage(main, description=__doc__)
