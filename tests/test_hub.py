"""A hub that is down is found out by one request: the sentence comes in no time, and what was loaded before is used."""

import json
import shutil
from pathlib import Path

import pytest
from datasets import load_dataset
from huggingface_hub import constants

from pipeline import hub
from pipeline.errors import PipelineError
from pipeline.models.sources import load_source_config, load_source_tokenizer
from pipeline.params.schema import PolicySource
from pipeline.reading.hub_rows import load_hub_rows
from tests.hub_servers import free_address, serving
from tests.tiny_models import byte_level_tokenizer

KEY = "models.policy.source"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
DOWN = ("500 Internal Server Error", "503 Service Unavailable")


@pytest.fixture(autouse=True)
def new_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was asked or loaded before, and waiting is short."""
    hub._silent.clear()
    hub._ask.cache_clear()
    hub.tell_local.cache_clear()
    monkeypatch.setattr(hub, "SECONDS", 0.2)
    monkeypatch.setattr(hub, "PAUSES", (0.01, 0.02))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "datasets"))


def use(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("datasets.config.HF_ENDPOINT", address)


def source(name: str = "someone/model", revision: str | None = None) -> PolicySource:
    return PolicySource(source=name, revision=revision, trust_remote_code=False, dtype="float32", chat_template=None)


def message(name: str = "someone/model") -> str:
    with pytest.raises(PipelineError) as error:
        load_source_tokenizer(source(name), key=KEY)
    return str(error.value)


def store_model(folder: Path) -> None:
    """A tokenizer and a config as a hub's cache keeps them."""
    files = folder / "models--someone--model/snapshots" / COMMIT
    byte_level_tokenizer().save_pretrained(files)
    (files / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 32}))
    (folder / "models--someone--model/refs").mkdir()
    (folder / "models--someone--model/refs/main").write_text(COMMIT)


def store_rows(folder: Path) -> None:
    """Two rows as the cache of `datasets` keeps them."""
    (folder / "rows.jsonl").parent.mkdir(parents=True, exist_ok=True)
    (folder / "rows.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
    load_dataset("json", data_files=str(folder / "rows.jsonl"), cache_dir=str(folder / "made"), split="train")
    made = next((folder / "made/json").glob("*/*/*"))
    kept = folder / "someone___rows/default/0.0.0" / COMMIT
    shutil.copytree(made, kept)
    (kept / "json-train.arrow").rename(kept / "rows-train.arrow")
    info = json.loads((kept / "dataset_info.json").read_text())
    (kept / "dataset_info.json").write_text(json.dumps(info | {"config_name": "default", "dataset_name": "rows"}))


def test_a_hub_that_refuses_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = free_address()
    use(address, monkeypatch)
    said = message()
    assert said.startswith(f"{KEY}: cannot load 'someone/model'") and "\n" not in said
    for part in (f"the hub {address} was not reached", "refused", str(tmp_path / "hub"), "HF_ENDPOINT", KEY, "folder"):
        assert part in said
    with pytest.raises(ValueError, match=rf"'someone/rows': the hub {address} was not reached .* data/raw"):
        load_hub_rows("someone/rows", split="train", revision=None)


def test_a_hub_without_an_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    use("http://no-such-host.invalid", monkeypatch)
    monkeypatch.setattr(hub, "SECONDS", 2.0)
    assert "the hub http://no-such-host.invalid was not reached" in message()


def test_a_hub_that_hangs_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(None) as (address, requests):
        use(address, monkeypatch)
        assert f"the hub {address} did not answer in 0.2 seconds" in message()
        assert str(address) in message("another/model")
        assert hub.why_not_asked("datasets", "someone/rows")
    assert len(requests) == 1


@pytest.mark.parametrize("status", DOWN)
def test_a_hub_with_a_fault_is_asked_three_times(status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(status) as (address, requests):
        use(address, monkeypatch)
        monkeypatch.setattr(hub, "SECONDS", 5.0)
        assert f"the hub {address} answers with status {status[:3]}" in message()
        assert message() and len(requests) == 3, "the same repository is not asked for again"
        assert hub.why_not_asked("models", "another/model") and len(requests) == 6, "it may be that of a repository"


@pytest.mark.parametrize("status", ["401 Unauthorized", "404 Not Found", "501 Not Implemented"])
def test_what_a_hub_answers_its_libraries_say(status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(status) as (address, requests):
        use(address, monkeypatch)
        monkeypatch.setattr(hub, "SECONDS", 5.0)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        assert hub.why_not_asked("models", "someone/model") is None
        assert hub.why_not_asked("models", "someone/model") is None
    assert len(requests) == 1
    assert requests[0].startswith(b"HEAD /api/models/someone/model ") and b"Bearer hf_secret" in requests[0]


def test_the_answer_401_reaches_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving("401 Unauthorized") as (address, _):
        use(address, monkeypatch)
        monkeypatch.setattr(hub, "SECONDS", 5.0)
        assert "401 Unauthorized" in message()


def test_what_was_loaded_before_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(free_address(), monkeypatch)
    store_model(tmp_path / "hub")
    store_rows(tmp_path / "datasets")
    assert load_source_tokenizer(source(), key=KEY)("a")["input_ids"]
    assert load_source_config(source(), key=KEY).hidden_size == 32
    assert load_hub_rows("someone/rows", split="train", revision=None)["text"] == ["a", "b"]
    warnings = capsys.readouterr().out.splitlines()
    assert len(warnings) == 2 and all("taken as it was loaded before" in one for one in warnings)


def test_rows_of_another_revision_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(free_address(), monkeypatch)
    store_rows(tmp_path / "datasets")
    assert len(load_hub_rows("someone/rows", split="train", revision=COMMIT)) == 2
    for revision in ("main", COMMIT[::-1]):
        with pytest.raises(ValueError, match=f"the newest is commit {COMMIT}, and not known to be .*{revision}"):
            load_hub_rows("someone/rows", split="train", revision=revision)
    card = tmp_path / "hub/datasets--someone--rows/snapshots" / COMMIT / "README.md"
    card.parent.mkdir(parents=True)
    card.write_text("")
    (tmp_path / "hub/datasets--someone--rows/refs").mkdir()
    (tmp_path / "hub/datasets--someone--rows/refs/main").write_text(COMMIT)
    assert len(load_hub_rows("someone/rows", split="train", revision="main")) == 2


def test_what_is_wrong_with_files_of_before_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(free_address(), monkeypatch)
    store_model(tmp_path / "hub")
    next((tmp_path / "hub").rglob("config.json")).write_text("{")
    with pytest.raises(PipelineError, match=r"was not reached .*, and of what is in .* from before: .*JSON"):
        load_source_config(source(), key=KEY)


def test_offline_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with serving("200 OK") as (address, requests):
        use(address, monkeypatch)
        assert "HF_HUB_OFFLINE is set" in message() and "Unset HF_HUB_OFFLINE" in message()
        store_model(tmp_path / "hub")
        assert load_source_tokenizer(source(), key=KEY)("a")["input_ids"]
    assert not requests and not capsys.readouterr().out


def test_a_folder_needs_no_hub(policy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "why_not_asked", lambda *_: pytest.fail("asked"))
    assert load_source_tokenizer(source(str(policy_folder)), key=KEY)
