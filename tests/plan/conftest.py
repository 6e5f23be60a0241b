"""A project folder with tiny models, which a plan is made for."""

import types
from pathlib import Path
from typing import Any

import pytest

from pipeline.params.data import Columns
from pipeline.params.loading import load_params
from pipeline.params.schema import Params
from tests.check.conftest import BASE, pairs
from tests.conftest import ROOT
from tests.tiny_models import byte_level_tokenizer, save_bert_backbone, save_llama_policy
from tests.tiny_project import rewrite_params


@pytest.fixture(scope="session")
def planned_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_llama_policy(folder / "policy", byte_level_tokenizer())
    save_bert_backbone(folder / "backbone")
    return folder


@pytest.fixture
def project(tmp_path: Path, planned_models: Path, monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """`params(**changes)` of a project with 300 given pairs, whose folder is the current one."""
    import json

    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/labels").mkdir()
    (tmp_path / "data/models").symlink_to(planned_models)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (tmp_path / "data/raw/pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs(300)))

    def params(**changes: Any) -> Params:
        edits = {**BASE, **{key.replace("__", "."): value for key, value in changes.items()}}
        columns = dict.fromkeys(Columns.model_fields)
        rewrite_params(tmp_path, {**edits, "data.columns": columns})
        return load_params(tmp_path / "params.yaml")

    return types.SimpleNamespace(root=tmp_path, params=params)
