"""The plan of a whole run: every stage, what does not fit, other machines, data and models that are missing."""

import json
import shutil
import sys
import types
from pathlib import Path

import pytest
from huggingface_hub import constants
from ruamel.yaml import YAML
from transformers import AutoModelForCausalLM, BertConfig, PretrainedConfig, T5Config

from pipeline.errors import PipelineError
from pipeline.memory.conditions import Machine
from pipeline.memory.parts import ROLES, total
from pipeline.plan import __main__ as command
from pipeline.plan.project import plan_project
from pipeline.plan.text import as_json, render
from tests.conftest import ROOT
from tests.hub_servers import free_address

Project = types.SimpleNamespace
GIB = 2**30


def test_every_stage_of_the_pipeline_is_planned(project: Project) -> None:
    """What dvc.yaml gains, the plan must not leave out."""
    params = project.params(optimize__methods=["dpo", "ppo", "hybrid"], optimize__seeds=[0, 1])
    plan = plan_project(params, project.root, machine=Machine("cpu", 8 * GIB))
    named = [stage.stage for stage in plan.stages]
    declared = set(YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"])
    assert {name.partition("@")[0] for name in named} == declared
    assert len(named) == len(set(named))
    for method in ("dpo", "ppo", "hybrid"):
        for seed in (0, 1):
            for kind in ("optimize_policy", "select_checkpoint", "evaluate_policy"):
                assert f"{kind}@{method}-{seed}" in named
    assert plan.note == "" and plan.problems == []


def test_numbers_are_those_of_the_data(project: Project) -> None:
    """300 pairs of a few words, of which every training sees its share."""
    plan = plan_project(project.params(), project.root, machine=Machine("cpu", 8 * GIB))
    stages = {stage.stage: stage for stage in plan.stages}
    sft = stages["train_sft"]
    network = AutoModelForCausalLM.from_pretrained("data/models/policy")
    whole = sum(parameter.numel() for parameter in network.parameters())
    assert sft.parameters - sft.trained == whole
    assert 0 < sft.labour.tokens < 300 * 100
    assert stages["collect_preferences"].fit is None, "pairs are given, and nothing is sampled"
    assert all(set(stage.parts) <= set(ROLES) for stage in plan.stages)
    longer = plan_project(project.params(optimize__dpo__num_train_epochs=2), project.root, machine=Machine("cpu", GIB))
    doubled = {stage.stage: stage for stage in longer.stages}["optimize_policy@dpo-0"].labour.tokens
    assert doubled == 2 * stages["optimize_policy@dpo-0"].labour.tokens


def test_what_does_not_fit_names_the_parameter_to_change_and_exits_with_1(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every stage that will not fit has its line, sampling and scoring, too."""
    project.params(
        collect_preferences__source="sampled", sampling__batch_size=4096, score_reference__batch_size=4096,
        data__limits__train=None,
    )  # fmt: skip
    monkeypatch.setattr("pipeline.memory.reading.LIBRARIES", 0)
    monkeypatch.setattr("pipeline.memory.need.LIBRARIES", 0)
    arguments = ["--device", "cpu", "--device-memory", "1MiB"]
    monkeypatch.setattr(sys, "argv", ["plan", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    said = capsys.readouterr().out
    for start, key in (
        ("collect_preferences needs about", "sampling.batch_size"),
        ("score_reference needs about", "score_reference.batch_size"),
        ("train_sft needs about", "train_sft.per_device_train_batch_size"),
    ):
        (line,) = [line for line in said.splitlines() if line.startswith(f"Will not fit: {start}")]
        assert key in line
    monkeypatch.setattr(sys, "argv", ["plan", "--device", "cpu", "--device-memory", "64GiB", "--json"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert told["problems"] == [] and told["memory_bytes"] == 64 * GIB
    assert all(sum(stage["bytes"].values()) == stage["peak_bytes"] for stage in told["stages"])


def test_another_machine_has_its_own_number_format_memory_and_no_time_until_its_speed_is_known(
    project: Project,
) -> None:
    params, machine = project.params(), Machine("cuda", 24 * GIB)
    plan = plan_project(params, project.root, machine=machine)
    assert "cuda, bf16" in plan.machine and plan.limit == 24 * GIB
    assert all(stage["seconds"] is None for stage in as_json(plan)["stages"])
    assert "--teraflops" in render(plan)
    slow, fast = (plan_project(params, project.root, machine=machine, teraflops=speed) for speed in (0.001, 0.002))
    for one, other in zip(slow.stages, fast.stages, strict=True):
        before, after = slow.seconds(one), fast.seconds(other)
        assert before is not None and after is not None
        assert before == after if not one.labour.operations else before > after


def test_without_the_data_lengths_are_those_that_params_allow(project: Project) -> None:
    params = project.params(data__source="data/raw/none.jsonl")
    plan = plan_project(params, project.root, machine=Machine("cpu", 8 * GIB))
    assert "none.jsonl" in plan.note and plan.note in render(plan)
    stages = {stage.stage: stage for stage in plan.stages}
    assert stages["train_sft"].labour.tokens == params.train_sft.max_length * 1000
    longest = plan_project(project.params(), project.root, machine=Machine("cpu", 8 * GIB))
    for stage in longest.stages:
        assert total(stage.parts) <= total(stages[stage.stage].parts)


def test_configs_are_enough_where_weights_are_not_there_yet(project: Project) -> None:
    bare = project.root / "data/bare"
    shutil.copytree(project.root / "data/models", bare, ignore=shutil.ignore_patterns("*.safetensors"))
    whole = plan_project(project.params(), project.root, machine=Machine("cpu", 8 * GIB), read=False)
    changes = {"models__policy__source": "data/bare/policy", "models__reward_backbone__source": "data/bare/backbone"}
    plan = plan_project(project.params(**changes), project.root, machine=Machine("cpu", 8 * GIB))
    assert [total(stage.parts) for stage in plan.stages] == [total(stage.parts) for stage in whole.stages]
    assert "no weights" in plan.note


def test_a_hub_that_is_down_is_one_sentence(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    address = free_address()
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    message = rf"^models\.policy\.source: cannot load 'some/model' .* the hub {address} was not reached"
    with pytest.raises(PipelineError, match=message) as found:
        plan_project(project.params(models__policy__source="some/model"), project.root)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("text", "count"), [("24GiB", 24 * GIB), ("80 GB", 80 * 10**9), ("0.5TiB", 2**39), ("100MiB", 100 << 20)]
)
def test_sizes_are_read_with_their_units(text: str, count: int) -> None:
    assert command.bytes_of(text) == count


@pytest.mark.parametrize("arguments", [["--device-memory", "24"], ["--device", "cuda"], ["--device-memory", "0GiB"]])
def test_a_machine_without_a_size_is_refused(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["plan", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2


def test_a_prompt_that_is_cut_is_planned_as_it_is_cut(project: Project) -> None:
    """Of a policy that answers it; the reward model, SFT and DPO read it whole."""
    stages = {}
    for most in (None, 1):
        params = project.params(collect_preferences__source="sampled", sampling__max_prompt_tokens=most)
        plan = plan_project(params, project.root, machine=Machine("cpu", 8 * GIB))
        stages[most] = {stage.stage: stage.labour for stage in plan.stages}
    new, samples = params.sampling.max_new_tokens, params.optimize.ppo.total_episodes
    assert stages[1]["optimize_policy@ppo-0"].tokens == samples * (1 + new)
    for name in ("collect_preferences", "optimize_policy@ppo-0", "evaluate_sft", "evaluate_policy@dpo-0"):
        cut, whole = (sum(stages[most][name].operations.values()) for most in (1, None))
        assert stages[1][name].tokens < stages[None][name].tokens and cut < whole, name
    for name in ("train_sft", "optimize_policy@dpo-0", "evaluate_reward"):
        assert stages[1][name] == stages[None][name], name


@pytest.mark.parametrize("config", [T5Config(), BertConfig()], ids=["t5", "bert"])
def test_a_policy_that_writes_nothing_is_one_sentence(project: Project, config: PretrainedConfig) -> None:
    config.save_pretrained(project.root / "data/other")
    with pytest.raises(PipelineError, match=rf"^models\.policy\.source: .*{config.model_type}.*left to right"):
        plan_project(project.params(models__policy__source="data/other"), project.root, read=False)
