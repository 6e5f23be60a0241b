"""validate_preferences: accept or quarantine every pair, with the reason; nothing disappears uncounted."""

import json

from pipeline.data.contract import check_thresholds, validate_pairs
from pipeline.data.preference_summary import summarise_pairs
from pipeline.data.records import read_records, write_records
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage) -> None:
    """Validate, split, summarise."""
    settings = stage.params.validate_preferences
    rows = read_records(stage.input("artifacts/preferences/raw.jsonl"))
    collection = json.loads(stage.input("reports/preferences/collection.json").read_text())
    validated = validate_pairs(rows, settings)
    print(f"{len(validated.accepted)} of {len(rows)} pairs accepted", flush=True)
    check_thresholds(validated, settings)
    folder = stage.output("artifacts/preferences/accepted")
    for split in ("train", "validation", "test"):
        write_records(folder / f"{split}.jsonl", [row for row in validated.accepted if row["split"] == split])
    write_records(stage.output("artifacts/preferences/quarantine.jsonl"), validated.quarantined)
    summary = summarise_pairs(validated, ties_without_pair=collection["ties_without_pair"])
    stage.write_json("reports/preferences/summary.json", summary)
    stage.log_final(summary)


if __name__ == "__main__":
    run_stage(main, description=__doc__)
