"""params.yaml as it is written, of any age."""

from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.lineage.parameters import read_parameters
from tests.lineage.commands import git


def test_values_have_dotted_keys_and_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("\ufeffnobody: {knows: [1, 2]}\nseed: 0\n", encoding="utf-8")
    assert read_parameters(tmp_path, None) == {"nobody.knows": [1, 2], "seed": 0}


def test_of_a_revision_they_are_those_that_were_committed(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "params"]):
        git(tmp_path, *arguments)
    (tmp_path / "params.yaml").write_text("seed: 2\n")
    assert read_parameters(tmp_path, "HEAD") == {"seed": 1} and read_parameters(tmp_path, None) == {"seed": 2}


def test_no_file_has_no_values(tmp_path: Path) -> None:
    assert read_parameters(tmp_path, None) == {} and read_parameters(tmp_path, "HEAD") == {}


@pytest.mark.parametrize("content", [b"a: [", b"- 1\n", b"\xff\xfe", b"text"])
def test_what_holds_no_sections_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(PipelineError, match=r"^params\.yaml cannot be read: "):
        read_parameters(tmp_path, None)
