"""The chat template that publish_models writes into every model which it shares."""

import json

from pipeline.models.text_format import read_text_format
from pipeline.release.serving import own_template, trained_template
from pipeline.stage.execution import Stage


def released_template(stage: Stage) -> str | None:
    """The chat template that wrote the texts of training; where none did, one that writes what they look like."""
    if read_text_format(stage.input("artifacts/data/text_format.json")).template is not None:
        return own_template(stage.input("artifacts/sft"))
    with stage.input("artifacts/preferences/accepted/train.jsonl").open() as rows:
        return trained_template(json.loads(row)["prompt"] for row in rows)
