"""params.yaml: errors name the dotted key, numbers are numbers, and DVC reads the same values."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import load_yaml
from ruamel.yaml import YAML

from pipeline.errors import PipelineError
from pipeline.params.loading import load_params, parse_params
from pipeline.params.schema import Params
from tests.conftest import ROOT

PARAMS_FILE = ROOT / "params.yaml"
REMOVED = object()
CANDIDATE = {"name": "bought", "source": "a/b", "revision": None, "trust_remote_code": False, "dtype": "float32"}


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return YAML(typ="safe").load(PARAMS_FILE)


def edited(values: dict[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    result = copy.deepcopy(values)
    *parents, key = dotted.split(".")
    section = result
    for parent in parents:
        section = section[parent]
    if value is REMOVED:
        del section[key]
    else:
        section[key] = value
    return result


def problem(values: dict[str, Any], dotted: str, value: Any) -> str:
    with pytest.raises(PipelineError) as error:
        parse_params(edited(values, dotted, value), source="params.yaml")
    return str(error.value)


def test_the_repositorys_file_is_valid(values: dict[str, Any]) -> None:
    assert parse_params(values) == load_params(PARAMS_FILE)


@pytest.mark.parametrize(
    ("dotted", "value", "message"),
    [
        ("optimize.dpo.betta", 0.1, "unknown key"),
        ("trainn_sft", {}, "unknown key"),
        ("data.columns.answer", "x", "unknown key"),
        ("seed", REMOVED, "missing key"),
        ("optimize.ppo.kl_coef", REMOVED, "missing key"),
        ("train_sft.finetuning.lora_r", REMOVED, "missing key"),
        ("train_sft", None, "None"),
        ("train_sft.learning_rate", "fast", "got 'fast'"),
        ("train_sft.learning_rate", "1e-4", "got '1e-4'"),
        ("train_sft.learning_rate", 0.0, "greater than 0"),
        ("train_sft.learning_rate", float("nan"), "finite"),
        ("train_sft.learning_rate", float("inf"), "finite"),
        ("train_sft.learning_rate", True, "got True"),
        ("train_sft.num_train_epochs", 1.5, "got 1.5"),
        ("train_sft.num_train_epochs", 0, "greater than or equal to 1"),
        ("train_sft.warmup_ratio", 1.5, "less than or equal to 1"),
        ("train_sft.finetuning.method", "qlora", "got 'qlora'"),
        ("train_sft.finetuning.lora_target_modules", 7, "got 7"),
        ("runtime.threads", 0, "got 0"),
        ("runtime.threads", "many", "got 'many'"),
        ("runtime.device", "gpu", "got 'gpu'"),
        ("collect_preferences.top_p", 0.0, "greater than 0"),
        ("sampling.top_k", 0, "moved to collect_preferences.top_k"),
        ("sampling.top_p", 0.9, "moved to collect_preferences.top_p"),
        ("optimize.ppo.importance_truncation", 0.5, "greater than or equal to 1"),
        ("optimize.ppo.max_sampler_kl", 0.0, "greater than 0"),
        ("sampling.temperature", 0, "greater than 0"),
        ("optimize.dpo.label_smoothing", 0.5, "less than 0.5"),
        ("optimize.ppo.whiten_advantages", "yes", "got 'yes'"),
        ("optimize.methods", [], "at least 1"),
        ("optimize.methods", ["dpo", "grpo"], "grpo"),
        ("optimize", {}, "missing key"),
        ("tracking.uri", "", "at least 1"),
        ("models.policy.revision", 5, "got 5"),
    ],
)
def test_a_wrong_value_is_named_by_its_dotted_key(
    values: dict[str, Any], dotted: str, value: Any, message: str
) -> None:
    report = problem(values, dotted, value)
    assert report.startswith("params.yaml has")
    lines = [line for line in report.splitlines() if line.startswith(f"  {dotted}")]
    assert lines, report
    assert any(message in line for line in lines), report
    assert not re.search(r"\[|constrained|literal", " ".join(line.split(":")[0] for line in report.splitlines()[1:]))


SPLITS = ("judge", "sft", "train", "validation", "test", "evaluation")


@pytest.mark.parametrize(
    ("dotted", "value", "section", "message"),
    [
        ("optimize.ppo.total_episodes", 100, "optimize.ppo", "multiple of rollout_batch_size"),
        ("optimize.ppo.num_minibatches", 3, "optimize.ppo", "multiple of num_minibatches"),
        ("optimize.ppo.per_device_train_batch_size", 24, "optimize.ppo", "multiple of per_device_train_batch_size"),
        ("optimize.methods", ["dpo", "dpo"], "optimize", "twice"),
        ("data.splits", dict.fromkeys(SPLITS, 0.1), "data.splits", "must add up to 1"),
        ("data.splits", dict.fromkeys(SPLITS) | {"train": 0.9, "test": 0.2}, "data.splits", "must add up to 1"),
        ("data.min_words", 3, "data", "must exceed prompt_words"),
        ("evaluate_reward.use", "bought", "evaluate_reward", "takes one of own, best"),
        ("evaluate_reward.candidates", [CANDIDATE, CANDIDATE | {"name": "Bought"}], "evaluate_reward", "bought twice"),
        ("evaluate_reward.candidates", [CANDIDATE | {"name": "best"}], "evaluate_reward", "has a meaning"),
        ("evaluate_policy.best_of_n", [2, 4], "evaluate_policy", "rise from 1"),
        ("evaluate_policy.best_of_n", [1, 4, 2], "evaluate_policy", "rise from 1"),
        ("collect_preferences.source", "given", "(top level)", "preference_pairs"),
    ],
)
def test_values_that_do_not_fit_together_are_named(
    values: dict[str, Any], dotted: str, value: Any, section: str, message: str
) -> None:
    report = problem(values, dotted, value)
    assert any(line.startswith(f"  {section}: ") and message in line for line in report.splitlines()), report


def test_every_problem_is_reported_at_once(values: dict[str, Any]) -> None:
    both = edited(edited(values, "seed", -1), "collect_preferences.top_k", "all")
    report = problem(both, "runtime.device", "gpu")
    assert "3 problem(s)" in report
    for key in ("seed", "collect_preferences.top_k", "runtime.device"):
        assert f"  {key}: " in report


def test_parameters_are_frozen(params: Params) -> None:
    with pytest.raises(ValueError, match="frozen"):
        params.optimize.dpo.beta = 1.0  # type: ignore[misc]


def with_line(tmp_path: Path, old: str, new: str) -> Path:
    text = PARAMS_FILE.read_text()
    assert text.count(old) >= 1
    path = tmp_path / "params.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize("number", ["1e-4", "1.0e-4", "1E-4", "0.0001"])
def test_exponents_are_numbers(tmp_path: Path, number: str) -> None:
    path = with_line(tmp_path, "learning_rate: 5.0e-4", f"learning_rate: {number}")
    assert load_params(path).train_sft.learning_rate == 1e-4


def test_whole_numbers_serve_as_floats(tmp_path: Path) -> None:
    path = with_line(tmp_path, "top_p: 1.0", "top_p: 1")
    assert load_params(path).collect_preferences.top_p == 1.0


def test_a_key_twice_is_an_error(tmp_path: Path) -> None:
    path = with_line(tmp_path, "seed: 0", "seed: 0\nseed: 1")
    with pytest.raises(PipelineError, match="seed"):
        load_params(path)


@pytest.mark.parametrize("content", ["seed: [0", "- a\n- b\n", "", "just text"])
def test_a_file_that_is_no_mapping_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(PipelineError, match=re.escape(str(path))):
        load_params(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no such file"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("learning_rate", ["5.0e-4", "5e-4", "0.0005"])
def test_dvc_reads_the_same_values(tmp_path: Path, learning_rate: str) -> None:
    path = with_line(tmp_path, "learning_rate: 5.0e-4", f"learning_rate: {learning_rate}")
    assert parse_params(load_yaml(str(path))) == load_params(path)
    assert load_yaml(str(path)) == load_params(path).model_dump()


def test_every_key_has_a_comment_above_it() -> None:
    lines = PARAMS_FILE.read_text().splitlines()
    keys = [i for i, line in enumerate(lines) if re.match(r"\s*[a-z_]\w*:", line)]
    assert len(keys) > 80
    bare = [lines[i].strip() for i in keys if not lines[i - 1].lstrip().startswith("#")]
    # DVC's writer drops a comment that follows a list, so these are explained, by name, above the list
    assert [key for key in bare if f"# {key.partition(':')[0]}: " not in PARAMS_FILE.read_text()] == []
    assert len(bare) == 5


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"name": "a/b"}, "evaluate_reward.candidates.0.name: "),
        ({"dtype": "int4"}, "evaluate_reward.candidates.0.dtype: "),
    ],
)
def test_a_wrong_candidate_is_named_by_its_place(values: dict[str, Any], change: dict[str, Any], line: str) -> None:
    assert line in problem(values, "evaluate_reward.candidates", [CANDIDATE | change])


def test_the_kinds_that_a_source_may_have_are_no_keys(values: dict[str, Any]) -> None:
    said = problem(values, "data.source", [{"name": "data/raw/a.jsonl"}])
    assert "data.source.0.share: missing key" in said and "constrained" not in said
