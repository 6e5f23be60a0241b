"""Fixtures of all tests: tiny models on disk, the repository's own parameters, a CPU to compute on, a browser."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging

from pipeline.models.compute import Compute, start_compute
from pipeline.models.policy import Policy, load_policy, load_tokenizer
from pipeline.params.base import Finetuning
from pipeline.params.loading import load_params
from pipeline.params.schema import Params
from pipeline.preferences.pair import PreferencePair
from tests.browser import chromium
from tests.conftest import ROOT, PolicyMaker
from tests.preference_pairs import preference_pair
from tests.tiny_models import RUNTIME, byte_level_tokenizer, save_bert_backbone, save_llama_backbone, save_llama_policy
from tests.trained_project import TrainedProject, save_trained_project

logging.set_verbosity_error()
logging.disable_progress_bar()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, or a skip; for a module and no longer, because playwright's event loop is in the way of others."""
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of MLflow without runs, to copy; all processes share one, as creating its tables takes seconds."""
    from mlflow import MlflowClient  # as does its import

    base = tmp_path_factory.getbasetemp()
    path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "empty_store.db"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            draft = path.with_suffix(".draft")
            MlflowClient(f"sqlite:///{draft}").search_experiments()
            draft.rename(path)
    return path


@pytest.fixture(scope="session")
def params() -> Params:
    """The repository's params.yaml."""
    return load_params(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def compute() -> Compute:
    return start_compute(RUNTIME)


@pytest.fixture(scope="session")
def policy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 2-layer Llama with its tokenizer."""
    folder = tmp_path_factory.mktemp("policy")
    save_llama_policy(folder, byte_level_tokenizer())
    return folder


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 2-layer BERT without a head, with its tokenizer."""
    folder = tmp_path_factory.mktemp("encoder")
    save_bert_backbone(folder)
    return folder


@pytest.fixture(scope="session")
def decoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 2-layer Llama without a head, with its tokenizer."""
    folder = tmp_path_factory.mktemp("decoder")
    save_llama_backbone(folder, byte_level_tokenizer())
    return folder


@pytest.fixture(scope="session")
def tokenizer(policy_folder: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(policy_folder)


@pytest.fixture
def make_policy(policy_folder: Path, compute: Compute) -> PolicyMaker:
    """Loads the tiny policy: `make_policy(LORA)`, `make_policy(FULL, with_values=True)`, `make_policy()` frozen."""

    def make(finetuning: Finetuning | None = None, *, seed: int = 0, with_values: bool = False) -> Policy:
        return load_policy(policy_folder, compute, finetuning=finetuning, seed=seed, with_values=with_values)

    return make


@pytest.fixture
def trained_project(tmp_path: Path, policy_folder: Path, compute: Compute) -> TrainedProject:
    """SFT on the tiny policy in bf16, and DPO on SFT, both as adapters."""
    return save_trained_project(tmp_path / "project", policy_folder, compute)


@pytest.fixture(scope="session")
def text_pairs() -> list[PreferencePair]:
    """Eight pairs whose words tell which response is the better one."""
    subjects = ("the film", "the plot", "the hero", "the music")
    verbs = ("is", "was")
    return [
        preference_pair("", f"{subject} {verb} clever and funny", f"{subject} {verb} weak and dull, a boring waste")
        for subject in subjects
        for verb in verbs
    ]
