"""The drawing of the rooms is that of the imports, and leaves out only what follows from other arrows."""

from pathlib import Path

import pytest

from pipeline.project.rooms import DOCUMENT, drawing, room_imports, with_drawing
from tests.conftest import ROOT

ROOMS = {
    "report": frozenset({"results", "models"}), "models": frozenset({"data"}), "results": frozenset({"data"}),
    "data": frozenset[str](),
}  # fmt: skip


def test_the_document_has_the_drawing_of_the_imports() -> None:
    document = (ROOT / DOCUMENT).read_text()
    assert document == with_drawing(document, room_imports(ROOT)), "run `make graph`"


def test_what_follows_from_other_arrows_is_left_out() -> None:
    direct = {**ROOMS, "report": ROOMS["report"] | {"data"}}
    lines = drawing(direct).splitlines()
    assert lines == drawing(ROOMS).splitlines()
    assert lines == [
        "```mermaid", "flowchart TD", "    models --> data", "    report --> models", "    report --> results",
        "    results --> data", "```",
    ]  # fmt: skip


def test_imports_count_wherever_they_stand(tmp_path: Path) -> None:
    for room in ("chat", "data", "models"):
        (tmp_path / "pipeline" / room).mkdir(parents=True)
        (tmp_path / "pipeline" / room / "__init__.py").write_text('"""A room."""\n')
    (tmp_path / "pipeline/chat/talk.py").write_text("def late():\n    from pipeline.models import policy\n")
    (tmp_path / "pipeline/models/inner").mkdir()
    (tmp_path / "pipeline/models/inner/deep.py").write_text("import pipeline.data.records, torch\n")
    assert room_imports(tmp_path) == {
        "chat": frozenset({"models"}), "data": frozenset(), "models": frozenset({"data"})
    }  # fmt: skip


def test_a_document_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="between which rooms are drawn"):
        with_drawing("# Architecture\n", ROOMS)
