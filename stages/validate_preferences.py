"""validate_preferences: accept or quarantine every pair, with the reason; nothing disappears uncounted."""

from pipeline.data.record_files import RecordFile
from pipeline.data.records import write_lines, write_records
from pipeline.data.splits import PAIR_SPLITS
from pipeline.models.text_format import read_text_format
from pipeline.processes import usable_cores
from pipeline.results.document import read_document
from pipeline.results.preferences import Collection
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage
from pipeline.validation.context_length import PairMeter
from pipeline.validation.contract import validate_pairs
from pipeline.validation.details import detail_pairs
from pipeline.validation.summary import summarise_pairs, tell_counts
from pipeline.validation.thresholds import check_thresholds


def main(stage: Stage) -> None:
    """Measure, validate, split, summarise."""
    settings = stage.params.validate_preferences
    rows = RecordFile(stage.input("artifacts/preferences/raw.jsonl"))
    collection = read_document(stage.input("reports/preferences/collection.json"), Collection)
    templated = read_text_format(stage.input("artifacts/data/text_format.json")).template is not None
    meter = PairMeter(stage.input("artifacts/models/policy/tokenizer.json"), settings)
    validated = validate_pairs(rows, settings, meter=meter, templated=templated, processes=usable_cores())
    tell_counts(validated, settings)
    write_records(stage.output("artifacts/preferences/quarantine.jsonl"), validated.quarantined)
    check_thresholds(validated, settings)
    folder = stage.output("artifacts/preferences/accepted")
    for split in PAIR_SPLITS:
        write_lines(folder / f"{split}.jsonl", validated.lines(split))
    summary = summarise_pairs(validated, settings, ties_without_pair=collection.ties_without_pair)
    stage.write_json("reports/preferences/summary.json", summary.as_json())
    details = detail_pairs(validated, agreement=collection.agreement)
    stage.write_json("reports/preferences/details.json", details.as_json())
    stage.log_final(summary.as_json())


if __name__ == "__main__":
    run_stage(main, description=__doc__)
