"""A project folder with tiny models, checked in this process."""

import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.check.findings import Findings
from pipeline.check.project import check_project
from pipeline.check.settings import settings_of
from pipeline.params.data import Columns
from pipeline.params.loading import load_params
from tests.canaries import canaries, known_bad_pairs  # noqa: F401
from tests.conftest import ROOT
from tests.tiny_models import byte_level_tokenizer, save_bert_backbone, save_llama_policy
from tests.tiny_project import rewrite_params

BASE: dict[str, Any] = {
    "models.policy.source": "data/models/policy",
    "models.reward_backbone.source": "data/models/backbone",
    "data.source": "data/raw/pairs.jsonl",
    "data.format": "auto",
    "data.columns": {},
    "collect_preferences.source": "given",
    "validate_preferences.max_tokens": 100,
    "train_sft.max_length": 100,
    "score_reference.max_length": 100,
    "train_reward.max_length": 60,
}


def pairs(count: int, *, words: int = 3) -> list[dict[str, Any]]:
    """Preferences without a fault, each with a prompt of its own."""
    tail = " word" * words
    return [
        {"prompt": f"Question {at}?", "chosen": f" Yes, {at}{tail}.", "rejected": f" No, {at}{tail}."}
        for at in range(count)
    ]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_llama_policy(folder / "policy", byte_level_tokenizer())
    save_bert_backbone(folder / "backbone")
    return folder


@pytest.fixture
def project(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """`write(rows)` data, then `check(**changes)` of params."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/labels").mkdir()
    (tmp_path / "data/models").symlink_to(models)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())

    def write(rows: list[dict[str, Any]], name: str = "pairs.jsonl") -> None:
        (tmp_path / "data/raw" / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    def check(**changes: Any) -> Findings:
        edits = {**BASE, **{key.replace("__", "."): value for key, value in changes.items()}}
        columns = dict.fromkeys(Columns.model_fields)
        rewrite_params(tmp_path, {**edits, "data.columns": {**columns, **edits["data.columns"]}})
        return check_project(
            settings_of(load_params(tmp_path / "params.yaml")), tmp_path, tmp_path / ".state/check/policy"
        )

    return types.SimpleNamespace(root=tmp_path, write=write, check=check)


Check = Callable[..., Findings]
