"""A pair that was read by a layout leads to the raw row that it was made of."""

import json

import pytest

from pipeline.data.preparation import prepare
from pipeline.data.raw_rows import RawRows
from pipeline.data.shares import fill_shares
from pipeline.lineage.raw import RawSources
from pipeline.lineage.record import trace_record
from pipeline.lineage.source_files import SourceFiles
from pipeline.params.schema import Params
from pipeline.preferences.given import given_records
from pipeline.project.hashing import content_hash
from pipeline.reading.formats import as_read, detect_format, select_fields
from tests.lineage.conftest import RAW, SOURCES, Project
from tests.reading.layouts.reading import source
from tests.reading.layouts.writers import WRITERS, Preference
from tests.tiny_models import changed

WRITTEN = [Preference((f"Question {at}",), (f"bad {at}", f"good {at}"), (1, 2), "Be brief.") for at in range(6)]


@pytest.mark.parametrize("name", ["nectar", "label_studio_pairwise", "system_pairs"])
def test_a_pair_of_a_layout_leads_to_its_raw_row(name: str, project: Project, params: Params) -> None:
    rows = [WRITERS[name](one) for one in WRITTEN]
    raw = source(rows)
    (resolved,) = fill_shares([detect_format(raw, changed(params.data, format="auto", source=RAW))], rows=len(rows))
    prepared = prepare([RawRows(RAW, select_fields(raw, resolved), as_read(resolved))], seed=0)
    pairs = [dict(pair) for pair in given_records(prepared.paired)]
    project.write(RAW, rows)
    project.write("artifacts/data/fates.jsonl", [dict(fate) for fate in prepared.fates])
    project.write("artifacts/data/pairs.jsonl", pairs)
    known = {"file": RAW, "md5": content_hash(project.root / RAW), "rows": len(rows)}
    project.write(SOURCES, json.dumps({"sources": [known]}))
    project.stage("prepare_data", [RAW], ["artifacts/data", SOURCES])
    assert pairs
    for pair in pairs:
        lock, contents = project.lock(), project.contents()
        (origin,) = trace_record(pair["id"], lock, contents, RawSources(SourceFiles(lock, contents))).origins
        assert origin.source == RAW and origin.text is not None
        one = WRITTEN[origin.row - 1]
        assert all(text in origin.text for text in (one.prompt, *one.responses))
        assert one.prompt in pair["prompt"] and pair["chosen"].strip() == one.responses[1]
