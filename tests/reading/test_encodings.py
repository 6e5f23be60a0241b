"""A file that is no UTF-8 is refused, or its rows are dropped, with the command that converts it."""

import gzip
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.reading.foreign_encodings import guess_encodings
from pipeline.reading.rows import BROKEN
from pipeline.reading.sources import Source

TEXTS = {
    "CP1252": [
        "Où est l’été? Très loin, déjà",
        "Größe und Straße, schön über Köln",
        "¿Qué tal? El niño comió",
        "“Hi” – ok",
    ],
    "CP1250": ["Dziękuję, to było świetne", "Příliš žluťoučký kůň"],
    "CP1251": ["Какой вопрос", "Съешь ещё этих булок"],
    "KOI8-R": ["Какой вопрос", "Съешь ещё этих булок"],
    "CP1253": ["Καλημέρα τι κάνεις"],
    "CP932": ["質問は何ですか", "良い答え、悪い答え"],
    "EUC-JP": ["質問は何ですか", "これは良い答えです。"],
    "CP949": ["질문은 무엇입니까", "좋은 답변"],
    "BIG5": ["問題是什麼", "好的回答"],
    "GB18030": ["问题是什么", "好的回答,坏的回答"],
}
CASES = [(name, text) for name, texts in TEXTS.items() for text in texts]
Load = Callable[[str, bytes], Source]


@pytest.fixture
def load(load_bytes: Load) -> Load:
    return load_bytes


def command(message: str) -> str:
    return message.split("`")[1]


@pytest.mark.parametrize(("encoding", "text"), CASES)
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "csv.gz"])
def test_the_command_converts_the_file(encoding: str, text: str, suffix: str, load: Load) -> None:
    row = {"prompt": text, "chosen": text * 2}
    line = json.dumps(row, ensure_ascii=False) if suffix == "jsonl" else f'prompt,chosen\n"{text}","{text * 2}"'
    content = f"{line}\n".encode({"KOI8-R": "koi8_r"}.get(encoding, encoding))
    with pytest.raises(PipelineError, match=r"it is not UTF-8\. By its bytes it may be .* a guess") as error:
        load(f"my rows.{suffix}", gzip.compress(content) if suffix.endswith("gz") else content)
    guess, other = re.findall(r"may be (\S+), which is a guess(?: \((.*) would fit, too\))?: ", str(error.value))[0]
    # of a few words of Chinese all characters may be Korean ones
    assert encoding == guess or (encoding in other.split(" or ") and guess == "CP949")
    subprocess.run(command(str(error.value)).replace(guess, encoding), shell=True, check=True)
    name = f"my rows.utf8.{suffix.removesuffix('.gz')}"
    assert list(load(name, Path("data/raw", name).read_bytes()).rows) == [row]


def test_a_file_that_is_partly_ascii_says_how_many_rows_go(load: Load, said: list[str]) -> None:
    rows = ["prompt,chosen", "plain,a", "café,b", "crème brûlée,c"]
    source = load("rows.csv", "\n".join(rows).encode("cp1252"))
    assert [row.get(BROKEN) for row in source.rows] == [None, "not_utf8", "not_utf8"]
    (note,) = said
    assert "rows.csv: 2 of 3 rows are not UTF-8 and are dropped, the first is 2." in note
    assert command(note) == "iconv -f CP1252 -t UTF-8 data/raw/rows.csv > data/raw/rows.utf8.csv"


def test_damaged_utf8_is_no_other_encoding(load: Load, said: list[str]) -> None:
    lines = [json.dumps({"prompt": text}, ensure_ascii=False).encode() for text in ("café", "naïve")]
    source = load("rows.jsonl", b"\n".join([*lines, b'{"prompt": "caf\xe9"}']))
    assert [row.get(BROKEN) for row in source.rows] == [None, None, "not_utf8"] and not said


def test_names_of_columns_that_are_not_utf8_are_refused(load: Load) -> None:
    with pytest.raises(PipelineError, match=r"its first line is not UTF-8\. By its bytes it may be CP1252"):
        load("rows.csv", "Frage für alle,chosen\na,b\n".encode("cp1252"))


def test_utf16_is_converted_by_the_same_command(load: Load) -> None:
    with pytest.raises(PipelineError, match="it is UTF-16, not UTF-8") as error:
        load("rows.csv", "prompt\na\n".encode("utf-16"))
    subprocess.run(command(str(error.value)), shell=True, check=True)
    assert list(load("rows.utf8.csv", Path("data/raw/rows.utf8.csv").read_bytes()).rows) == [{"prompt": "a"}]


def test_nothing_is_guessed_of_bytes_that_fit_no_language() -> None:
    assert guess_encodings(bytes(range(0x80, 0x100))) == []
    assert guess_encodings("café très bien déjà".encode("mac_roman")) == []
