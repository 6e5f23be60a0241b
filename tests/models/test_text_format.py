"""Models meet only on texts of one format, and with the tokenizer that they were trained with."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.models.policy import load_tokenizer
from pipeline.models.text_format import (
    TextFormat,
    check_same_texts,
    check_template,
    read_by_its_own,
    read_text_format,
    store_text_format,
    template_hash,
)
from pipeline.reading.template_marks import TemplateMarks
from tests.tiny_models import byte_level_tokenizer, save_llama_policy

MARKS = TemplateMarks("<u>", None, None, "<a>", "<u>", "<a>")
TEMPLATED = TextFormat("template", template_hash("{{ messages }}"))


def model_folder(folder: Path, texts: TextFormat) -> Path:
    save_llama_policy(folder, byte_level_tokenizer())
    store_text_format(folder, texts)
    return folder


def test_a_changed_tokenizer_is_noticed(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, TextFormat("transcript"))
    load_tokenizer(folder)
    file = folder / "tokenizer.json"
    file.write_text(file.read_text() + "\n")
    with pytest.raises(PipelineError, match="not the tokenizer that this model was trained with"):
        load_tokenizer(folder)


def test_models_on_other_texts_do_not_meet(tmp_path: Path) -> None:
    plain = model_folder(tmp_path / "plain", TextFormat("transcript"))
    same = model_folder(tmp_path / "same", TextFormat("transcript"))
    templated = model_folder(tmp_path / "templated", TEMPLATED)
    other = model_folder(tmp_path / "other", TextFormat("template", template_hash("{{ other }}")))
    check_same_texts(plain, same)
    for one, two in ((plain, templated), (templated, other)):
        with pytest.raises(PipelineError, match="different formats"):
            check_same_texts(one, two)


def test_a_policy_with_another_template_is_refused(tmp_path: Path) -> None:
    check_template("{{ messages }}", TEMPLATED)
    check_template("{{ other }}", TextFormat("transcript"))
    for template in ("{{ other }}", None):
        with pytest.raises(PipelineError, match="another chat template"):
            check_template(template, TEMPLATED)


def test_the_format_is_read_as_written(tmp_path: Path) -> None:
    TEMPLATED.write(tmp_path / "text_format.json")
    assert read_text_format(tmp_path / "text_format.json") == TEMPLATED
    # what a run without chats has always written
    assert json.loads((tmp_path / "text_format.json").read_text()).keys() == {
        "style", "template", "tokenizer", "end_of_turn",
    }  # fmt: skip
    marked = replace(TEMPLATED, marks=MARKS, own_template=True)
    marked.write(tmp_path / "text_format.json")
    assert read_text_format(tmp_path / "text_format.json") == marked


def test_a_finished_model_reads_by_its_own_template_where_it_brings_another() -> None:
    marked = replace(TEMPLATED, marks=MARKS)
    assert read_by_its_own(marked, "{{ messages }}") == read_by_its_own(marked, None) == marked
    assert read_by_its_own(TextFormat("transcript"), "{{ other }}") == TextFormat("transcript")
    assert read_by_its_own(marked, "{{ other }}") == replace(marked, own_template=True)
    with pytest.raises(PipelineError, match="cannot be told apart"):
        read_by_its_own(TEMPLATED, "{{ other }}")
