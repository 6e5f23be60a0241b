"""Models meet only on texts of one format, and with the tokenizer that they were trained with."""

from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.models.policy import load_tokenizer
from pipeline.models.text_format import (
    TextFormat,
    check_same_texts,
    check_template,
    read_text_format,
    store_text_format,
    template_hash,
)
from tests.tiny_models import byte_level_tokenizer, save_llama_policy

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
