"""Texts that a policy's tokenizer takes for the beginning or end of a turn, and not for text that somebody wrote."""

import json
import re
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError

_MARK = re.compile(r"<\|[^|<>\n]{1,40}\|>|</?s>|<[a-z]+_of_[a-z]+>|\[/?[A-Z_]{3,30}\]|<</?SYS>>")
"""How chat templates write a turn where no token of their own does: Zephyr, Llama 2, Mistral, Gemma."""


def control_tokens(policy: Path) -> tuple[str, ...]:
    """The special tokens of a tokenizer, and the marks of turns in its chat template.

    Other added tokens, such as <think>, are part of what a model says.

    Args:
        policy: a folder with tokenizer.json; without one there are none.

    Raises:
        PipelineError: tokenizer.json is not valid JSON.
    """
    file = policy / "tokenizer.json"
    added = _read(file).get("added_tokens", []) if file.is_file() else []
    tokens = {one["content"] for one in added if one.get("special") or _MARK.fullmatch(one["content"])}
    tokens |= {mark for template in _templates(policy) for mark in _MARK.findall(template)}
    return tuple(sorted(token for token in tokens if token.strip()))


def _templates(policy: Path) -> list[str]:
    found = [file.read_text(encoding="utf-8") for file in sorted(policy.glob("*.jinja"))]
    config = policy / "tokenizer_config.json"
    template = _read(config).get("chat_template") if config.is_file() else None
    if isinstance(template, list):  # several with names
        return [*found, *(one["template"] for one in template)]
    return [*found, template] if template else found


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PipelineError(f"{file}: not JSON: {error}. Build it again with `dvc repro fetch_models`.") from error
