"""Rows that the check reads: which of a large source, and which are dropped."""

import pytest

from pipeline.check import pairs as check_pairs
from pipeline.check import sources as check_sources
from tests.check.conftest import pairs
from tests.check.reading_findings import Project, keys, said


def test_rows_that_are_dropped_are_shown_as_they_stand_in_the_file(project: Project) -> None:
    project.write([{"prompt": "Q?", "chosen": None, "rejected": f"row {at}"} for at in range(300)] + pairs(30))
    findings = project.check()
    message = said(findings)["data.max_dropped_share"]
    assert "row 1 of data/raw/pairs.jsonl" in message and "'rejected': 'row 0'" in message


def test_of_long_rows_fewer_are_read(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_sources, "MOST_CHARACTERS", 20_000)
    project.write(pairs(1000))
    findings = project.check()
    assert any("of 1,000 rows were read" in problem.message for problem in findings.warnings)


def test_of_a_large_source_blocks_from_all_over_are_read(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_sources, "MOST_ROWS", 400)
    monkeypatch.setattr(check_pairs, "MOST_PAIRS", 100)
    project.write([*pairs(2999), {**pairs(1)[0], "prompt": "Last?", "chosen": None}])
    findings = project.check()
    assert findings.errors == []
    warnings = [problem.message for problem in findings.warnings]
    assert any("400 of 3,000 rows were read" in message for message in warnings)
    assert any("the contract was tried on" in message for message in warnings)
    use = next(table for table in findings.tables if table.title == "What would be used")
    train = next(row for row in use.rows if row[0] == "train")
    assert train[1].startswith("about ") and int(train[1].split()[1].replace(",", "")) == pytest.approx(1980, rel=0.15)
    dropped = next(table for table in findings.tables if table.title == "Dropped rows")
    assert dropped.rows[0][2] == "row 3000 of data/raw/pairs.jsonl"


def test_a_source_of_several_that_is_dropped_is_named(project: Project) -> None:
    project.write(pairs(300))
    project.write([{**row, "prompt": f"</s>{row['prompt']}"} for row in pairs(200)], "second.jsonl")
    findings = project.check(data__source="data/raw/*.jsonl")
    assert findings.errors == []
    assert "100% of the rows of data/raw/second.jsonl are dropped" in said(findings)["data.source"]
    # with nothing read, nothing is said of what the rows would have been
    (project.root / "data/raw/pairs.jsonl").unlink()
    assert "prompts alone" not in str(project.check(data__source="data/raw/*.jsonl").warnings)


def test_of_rows_that_are_all_dropped_nothing_else_is_said(project: Project) -> None:
    """Splits without prompts, no pairs and no labels for the judge follow from it, and are no news."""
    project.write([{"prompt": "Q?", "chosen": None, "rejected": f"row {at}"} for at in range(300)])
    assert keys(project.check()) == ["data.max_dropped_share"]
    findings = project.check(data__max_dropped_share=1.0)
    assert keys(findings) == ["data.source"] and "300 dropped." in findings.errors[0].message
    (project.root / "data/raw/pairs.jsonl").write_text("no JSON\n" * 30)
    assert keys(project.check()) == ["data.source"]


def test_where_many_rows_are_dropped_what_is_left_is_not_counted_but_measured(project: Project) -> None:
    """Each split may be large enough once the rows are mended; a limit that is too low stays one."""
    broken = [{"prompt": "Q?", "chosen": None, "rejected": f"row {at}"} for at in range(300)]
    project.write([*broken, *pairs(30)])
    assert keys(project.check()) == ["data.max_dropped_share"]
    assert keys(project.check(score_reference__max_length=8)) == [
        "data.max_dropped_share",
        "score_reference.max_length",
    ]


def test_files_of_a_folder_that_are_not_read_are_a_warning_of_the_check(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(pairs(300))
    (project.root / "data/raw/more.zip").write_bytes(b"PK")
    (project.root / "elsewhere").mkdir()
    (project.root / "elsewhere/pairs.jsonl").write_bytes((project.root / "data/raw/pairs.jsonl").read_bytes())
    for source, message in (("data/raw", "nothing is read of more.zip"), ("elsewhere", "is outside data/raw/")):
        findings = project.check(data__source=source)
        assert any(message in problem.message for problem in findings.warnings)
        assert message not in capsys.readouterr().out


def test_held_out_rows_that_repeat_others_are_counted_and_where_none_is_left_the_threshold_is_named(
    project: Project,
) -> None:
    asked = " ".join(f"word{at}" for at in range(40))
    project.write([{**row, "prompt": f"{asked} {row['prompt']}"} for row in pairs(18)])
    findings = project.check()
    message = said(findings)["data.leakage.threshold"]
    assert "held-out rows were dropped because they nearly repeat rows that are learnt from" in message
    use = next(table for table in findings.tables if table.title == "What would be used")
    counted = next(row for row in use.rows if row[0] == "held out, dropped as near duplicates")
    assert int(counted[1]) > 0
    assert "data.leakage.threshold" not in keys(project.check(data__leakage__threshold=None))
