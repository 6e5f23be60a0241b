"""prepare_data: raw rows to SFT texts, prompts and judge labels in prompt-disjoint splits."""

from pipeline.data.formats import detect_format, select_fields
from pipeline.data.preparation import joined_without_space, prepare
from pipeline.data.records import write_records
from pipeline.data.sources import load_rows
from pipeline.errors import PipelineError
from pipeline.progress import progress_bar
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage) -> None:
    """Read, split, count, write."""
    raw = load_rows(stage.params.data)
    data = detect_format(raw.column_names, stage.params.data)
    rows = select_fields(raw, data)
    print(f"  format  {data.format}: {', '.join(rows.column_names)}", flush=True)
    prepared = prepare(progress_bar(rows, total=len(rows), title="rows", unit="row"), data, seed=stage.params.seed)
    if glued := joined_without_space(prepared.pairs):
        print(
            f"warning: in {glued} of {len(prepared.pairs)} pairs the response begins right behind the last letter of "
            'the prompt; data.separator, such as "\\n", comes between them.',
            flush=True,
        )
    folder = stage.output("artifacts/data")
    for kind, splits in (("labels", prepared.labels), ("texts", prepared.texts), ("prompts", prepared.prompts)):
        for split, records in splits.items():
            if not records:
                raise PipelineError(
                    f"data.source {data.source}: no records for {kind}/{split} among {len(rows)} rows "
                    f"({dict(prepared.counts)}). Add rows, or give the split a larger share in data.splits."
                )
            write_records(folder / kind / f"{split}.jsonl", records)
    write_records(folder / "pairs.jsonl", prepared.pairs)
    write_records(folder / "fates.jsonl", prepared.fates)
    counts = dict(sorted(prepared.counts.items()))
    assert sum(counts.values()) == len(rows), "every raw row is used, unused or dropped"
    stage.write_json("reports/data/metrics.json", {"rows": len(rows), **counts})
    stage.log_final({"rows": len(rows), **counts})


if __name__ == "__main__":
    run_stage(main, description=__doc__)
