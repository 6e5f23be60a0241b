"""The tokens that a text must not have are those of the tokenizer and of its template, and no others."""

import json
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.reading.control_tokens import control_tokens


def write(folder: Path, added: dict[str, bool], template: str | None = None, *, own_file: bool = False) -> None:
    tokens = [{"content": content, "special": special} for content, special in added.items()]
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": tokens}))
    (folder / "tokenizer_config.json").write_text(json.dumps({} if own_file else {"chat_template": template}))
    if own_file and template:
        (folder / "chat_template.jinja").write_text(template)


@pytest.mark.parametrize("own_file", [True, False])
def test_special_tokens_and_marks_of_the_template_are_control_tokens(own_file: bool, tmp_path: Path) -> None:
    added = {"<eos>": True, "<|im_end|>": False, "<think>": False, "<b>": False, " ": True}
    write(tmp_path, added, "{{ '<|user|>' + m.content + '[/INST]' }}{{ '<start_of_turn>model' }}", own_file=own_file)
    assert set(control_tokens(tmp_path)) == {"<eos>", "<|im_end|>", "<|user|>", "[/INST]", "<start_of_turn>"}


def test_a_folder_without_tokenizer_has_none_and_a_broken_one_is_named(tmp_path: Path) -> None:
    assert control_tokens(tmp_path) == ()
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(PipelineError, match=r"tokenizer\.json: not JSON"):
        control_tokens(tmp_path)
