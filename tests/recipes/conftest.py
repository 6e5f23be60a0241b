"""Recipes on data and models so small that a whole run takes seconds."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.params.recipes import apply_recipe, read_recipe
from tests.conftest import ROOT
from tests.tiny_models import byte_level_tokenizer, save_bought_reward_model, save_llama_backbone
from tests.tiny_project import TINY_PARAMS, create_tiny_project, edit_params

_OF_DATA = ("data.", "models.reward_backbone.", "optimize.methods")
LENGTHS: dict[str, Any] = {
    "validate_preferences.max_tokens": 100,
    "train_sft.max_length": 100,
    "train_reward.max_length": 100,
    "score_reference.max_length": 100,
}
# their phrases are few, as those of the tiny reviews
_LEAKAGE = {"data.leakage.threshold": 1.0}
TINY = LENGTHS | _LEAKAGE | {key: value for key, value in TINY_PARAMS.items() if not key.startswith(_OF_DATA)}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = create_tiny_project(tmp_path_factory.mktemp("recipes"))
    shutil.copytree(ROOT / "recipes", root / "recipes")
    (root / "data/raw/reviews.csv").rename(root / "reviews.csv")
    models = root / "data/models"
    save_llama_backbone(models / "decoder", byte_level_tokenizer())
    for seed, name in enumerate(("reward_model", "judge")):
        save_bought_reward_model(models / name, ("llama", "roberta")[seed], models / "decoder")
    return root


@pytest.fixture
def take(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A project in the current folder with a recipe taken, and its models and lengths made tiny."""

    def taken(name: str, rows: list[dict[str, Any]] | None = None, **changes: Any) -> Path:
        root = tmp_path / "project"
        if not root.exists():
            shutil.copytree(template, root, symlinks=True)
        (root / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
        values = read_recipe(name)
        (root / "params.yaml").write_text(apply_recipe((root / "params.yaml").read_text(), values))
        if rows is not None:
            (root / values["data.source"]).write_text("".join(json.dumps(row) + "\n" for row in rows))
        backbone = {} if "models.reward_backbone.source" in values else _own_backbone()
        edits = {key.replace("__", "."): value for key, value in changes.items()}
        edit_params(root, TINY | backbone | edits)
        monkeypatch.chdir(root)
        return root

    return taken


def _own_backbone() -> dict[str, Any]:
    return {"models.reward_backbone.source": "data/models/backbone"}


def preferences(count: int) -> list[dict[str, Any]]:
    """Pairs whose words tell the chosen response."""
    rng = random.Random(0)
    nouns = ("film", "story", "plot", "scene", "music", "hero")
    rows = []
    for number in range(count):
        good, bad = (
            " ".join(f"the {rng.choice(nouns)} is {rng.choice(words)}" for _ in range(3))
            for words in (("great", "moving", "funny"), ("awful", "boring", "dull"))
        )
        rows.append({"prompt": f"review{number} of the film", "chosen": f" {good}", "rejected": f" {bad}"})
    return rows


def chat_preferences(count: int) -> list[dict[str, Any]]:
    """The same as conversations of two questions, with a system prompt in every second."""
    asked = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Ask me of a film."}]
    rows = []
    for number, row in enumerate(preferences(count)):
        system = [{"role": "system", "content": "Speak of films."}] if number % 2 else []
        prompt = [*system, *asked, {"role": "user", "content": row["prompt"]}]
        answers = {side: [{"role": "assistant", "content": row[side].strip()}] for side in ("chosen", "rejected")}
        rows.append({"prompt": prompt, **answers})
    return rows
