"""Tiny models on disk, the repository's own parameters, and a CPU to compute on."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest
from filelock import FileLock
from playwright.sync_api import Browser
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from pipeline.models.compute import Compute, start_compute
from pipeline.models.policy import Policy, load_policy, load_tokenizer
from pipeline.params.base import Finetuning
from pipeline.params.loading import load_params
from pipeline.params.schema import Params, Runtime
from pipeline.preferences.pair import PreferencePair
from tests.browser import chromium
from tests.preference_pairs import preference_pair
from tests.sets import pytest_deselected, pytest_testnodedown, pytest_unconfigure  # noqa: F401
from tests.tiny_models import byte_level_tokenizer, save_bert_backbone, save_llama_backbone, save_llama_policy
from tests.trained_project import TrainedProject, save_trained_project

ROOT = Path(__file__).resolve().parent.parent
PolicyMaker = Callable[..., Policy]

# nothing of what is imported and collected is garbage; looking for some takes a fifth of that time
gc.disable()
logging.set_verbosity_error()
logging.disable_progress_bar()


TINY_PIPELINE = "tests/tiny_pipeline"
_ON_COPIES = "experiments mlflow_screens page_state remotes workflow"
FIRST = (
    TINY_PIPELINE, "tests/training/test_known_optimum.py", f"{TINY_PIPELINE}/copies", "tests/training/test_ppo.py",
)  # fmt: skip
"""What takes longest, so that no process works on it while others have nothing left; copies are of what was run."""


def scope_of(nodeid: str) -> str:
    """What one process runs: a file, or half of the tests that share the tiny pipeline's one run."""
    path = PurePosixPath(nodeid.partition("::")[0])
    if str(path.parent) != TINY_PIPELINE:
        return str(path)
    return f"{TINY_PIPELINE}/copies" if path.stem.removeprefix("test_") in _ON_COPIES.split() else TINY_PIPELINE


class ByFile(LoadScopeScheduling):
    """Hands out the scopes."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several processes, the longest first; in one the tiny pipeline is run once if its tests stay together."""
    if hasattr(config, "workerinput"):
        place = {scope: number for number, scope in enumerate(FIRST)}
        items.sort(key=lambda item: place.get(scope_of(item.nodeid), len(place)))


def pytest_collection_finish() -> None:
    """From here on garbage is collected again, and what was imported and collected is not looked through for any."""
    gc.freeze()
    gc.enable()


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
    return start_compute(
        Runtime(
            device="cpu",
            precision="fp32",
            threads=1,
            attention="grouped",
            merged_sampling=True,
            max_forward_tokens=64,
            recompute=False,
        )
    )


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
