"""prepare_data: raw rows to SFT texts, prompts and judge labels in prompt-disjoint splits."""

from pipeline.data.intake import open_sources, read_sources, tell_formats, warn_of_missing_categories
from pipeline.data.prepared_checks import check_prepared, warn_of_glued_pairs, warn_of_lost_categories
from pipeline.data.prepared_files import write_prepared
from pipeline.data.source_report import report_sources, unused_parts
from pipeline.models.text_format import FILE, TextFormat
from pipeline.preferences.agreement import summarise_votes
from pipeline.preferences.given import given_records
from pipeline.processes import usable_cores
from pipeline.project.hashing import content_hash
from pipeline.reading.styles import Style
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage


def main(stage: Stage) -> None:
    """Read, split, count, write."""
    settings, cores = stage.params.data, usable_cores()
    intake = open_sources(settings)
    warn_of_missing_categories(settings, intake.resolved)
    tell_formats(intake)
    unused = unused_parts(intake)
    folder = stage.output("artifacts/data")
    policy = stage.input("artifacts/models/policy")
    prepared, style = read_sources(intake, policy, seed=stage.params.seed, scratch=folder.parent, processes=cores)
    assert prepared.noted_rows == intake.rows, "every raw row has a fate"
    warn_of_glued_pairs(prepared)
    warn_of_lost_categories(prepared.lost_categories)
    if not style.written:
        style = Style()  # no chat was among the texts
    print(f"  chats   {style.name}", flush=True)
    write_prepared(prepared, given_records(prepared.paired), intake.sources, folder, processes=cores)
    # marks tell no tool from a user
    marks = None if style.has_tools else style.marks
    written = TextFormat(style.name, style.template_hash, end_of_turn=style.end_of_turn, marks=marks)
    written.write(folder / FILE)
    counts = {"rows": intake.rows, "entries": len(prepared.fates), **dict(sorted(prepared.counts.items()))}
    stage.write_json("reports/data/metrics.json", counts)
    hashes = {source.name: content_hash(source.path) for source in intake.sources if source.path is not None}
    votes = summarise_votes(prepared.votes) if prepared.votes else None
    report = report_sources(prepared, intake, chat_format=style.name, unused=unused, hashes=hashes, votes=votes)
    stage.write_json("reports/data/sources.json", report.as_json())
    stage.log_final(counts)
    check_prepared(prepared, intake.sources, max_dropped_share=settings.max_dropped_share)


if __name__ == "__main__":
    run_stage(main, description=__doc__)
