"""Plain text under the name of a table is called by its name; tables are not."""

from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.params.schema import Params
from pipeline.reading.formats import detect_format
from pipeline.reading.sources import load_sources
from tests.tiny_models import changed

PROSE = "The film was great.\nI loved it, really, and would see it again.\nThe end came too soon.\n"


def refusal(path: Path, content: str, params: Params) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    columns = dict.fromkeys(params.data.columns.model_dump())
    data = changed(params.data, source=str(path), format="auto", columns=columns)
    with pytest.raises(PipelineError) as error:
        detect_format(load_sources(data, warn=lambda _: None)[0], data)
    return str(error.value)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize(
    "content",
    [
        PROSE * 20,
        "# Title\n\nSome words, here.\n\n- a\n- b, c, d\n",
        "user: Hi, how are you?\nassistant: Fine, thanks, and you?\n" * 10,
        "".join(f"Write a poem about {animal}\n" for animal in ("cats", "dogs", "owls")),
        "".join(f"{'word ' * 20}and{', or' * (at % 4)} more\n" for at in range(20)),
    ],
)
def test_sentences(tmp_path: Path, params: Params, name: str, content: str) -> None:
    message = refusal(tmp_path / name, content, params)
    assert "looks like plain text" in message and '{"prompt": "..."}' in message and len(message) < 400


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "a,b\n1,2\n3,4\n"),
        ("a.csv", "How good is the first one?,How good is the other?\n1,2\n3,4\n"),
        ("a.csv", "a,b\n1,2,3\n4,5,6\n"),
        ("a.json", '[{"How good is it overall?": 1}]'),
    ],
)
def test_tables(tmp_path: Path, params: Params, name: str, content: str) -> None:
    assert "plain text" not in refusal(tmp_path / name, content, params)
