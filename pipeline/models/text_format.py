"""How texts were written for a model, kept beside its weights: two models work together only on the same texts."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.reading.template_marks import TemplateMarks

FILE = "text_format.json"
OWN_TEMPLATE = "chats are written anew by the reward model's own chat template, as it was trained to read them"
"""What is printed where `TextFormat.own_template` holds."""


@dataclass(frozen=True)
class TextFormat:
    """Style of chats, sha256 of what made tokens of them, and how answers end; None where it does not apply."""

    style: str
    """transcript, or template."""
    template: str | None = None
    """sha256 of the chat template that wrote prompts and responses."""
    tokenizer: str | None = None
    """sha256 of the model's own tokenizer.json."""
    end_of_turn: str | None = None
    """What that template writes behind an answer, from the token that ends it on; no part of the stored responses."""
    marks: TemplateMarks | None = None
    """What that template writes around the texts of a chat, where it can be told."""
    own_template: bool = False
    """The model reads chats as its own template writes them, not as they were written here."""

    def write(self, file: Path) -> None:
        """As JSON with sorted keys."""
        values = asdict(self)
        for name in _SELDOM:
            if not values[name]:
                del values[name]
        file.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


_SELDOM = ("marks", "own_template")


def read_text_format(file: Path) -> TextFormat:
    """The format that `write` wrote."""
    values = json.loads(file.read_text())
    marks = values.pop("marks", None)
    return TextFormat(**values, marks=None if marks is None else TemplateMarks(**marks))


def template_hash(template: str | None) -> str | None:
    """sha256 of a chat template; None without one."""
    return None if template is None else hashlib.sha256(template.encode()).hexdigest()


def store_text_format(folder: Path, data: TextFormat) -> None:
    """Say beside a saved model on which texts it was trained, and with which tokenizer."""
    replace(data, tokenizer=_tokenizer_hash(folder)).write(folder / FILE)


def check_tokenizer(folder: Path) -> None:
    """A model folder must still have the tokenizer that its model was trained with.

    Raises:
        PipelineError: it has another tokenizer.
    """
    if (folder / FILE).is_file() and read_text_format(folder / FILE).tokenizer != _tokenizer_hash(folder):
        raise PipelineError(
            f"{folder}/tokenizer.json is not the tokenizer that this model was trained with ({FILE} has its hash). "
            "Restore it with `dvc checkout`, or build the model again."
        )


def check_same_texts(one: Path, other: Path) -> None:
    """Two models, such as policy and reward model, must have been trained on texts of the same format.

    Raises:
        PipelineError: one read chats written by another template.
    """
    formats = [read_text_format(folder / FILE) for folder in (one, other)]
    if len({(found.style, found.template) for found in formats}) > 1:
        described = " and ".join(
            f"{folder}: {found.style}{f' {found.template[:12]}' if found.template else ''}"
            for folder, found in zip((one, other), formats, strict=True)
        )
        raise PipelineError(
            f"the models read chats in different formats ({described}), so scores of one mean nothing for the other. "
            "Build both from the same data.chat_format: `dvc repro`."
        )


def check_template(template: str | None, texts: TextFormat) -> None:
    """The policy that starts must have the chat template that wrote its texts.

    Raises:
        PipelineError: it has another chat template, or none.
    """
    if texts.template is not None and template_hash(template) != texts.template:
        raise PipelineError(
            "the chats of artifacts/data were written by another chat template than that of artifacts/models/policy. "
            "`dvc repro prepare_data` writes them again."
        )


def read_by_its_own(texts: TextFormat, template: str | None) -> TextFormat:
    """How a finished model reads texts: chats as its own chat template writes them, where it brings another one.

    Args:
        texts: as they were written here.
        template: that the model brings; without one it reads them as they are.

    Raises:
        PipelineError: chats cannot be told apart into their turns, to be written anew.
    """
    if texts.template is None or template_hash(template) in (None, texts.template):
        return texts
    if texts.marks is None:
        raise PipelineError(
            "this reward model brings a chat template of its own, and the turns of what the policy's template writes "
            "cannot be told apart, to be written by it, as where there are tools among them. "
            "Set data.chat_format to transcript, or take another model."
        )
    return replace(texts, own_template=True)


def _tokenizer_hash(folder: Path) -> str | None:
    file = folder / "tokenizer.json"
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
