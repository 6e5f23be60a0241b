"""The run of a policy has what decided it: parameters of all stages behind it, and nothing of another lineage."""

import json
from pathlib import Path

import pytest

from pipeline.project.defaults import Defaults
from pipeline.project.hashing import folder_hash
from pipeline.project.lockfile import Lock
from pipeline.tracking.policy_run import behind, curve, described, policy_metrics, policy_name

LISTING = "d" * 32 + ".dir"


def lock(**changes: str) -> Lock:
    """prepare -> sft -> dpo, and a judge that nobody reads; `changes` are hashes by path, with / as __."""
    hashes = {"data": LISTING, "sft": "s1", "sft_read": "t1", "policy": "p1"} | changes
    text = f"""
schema: '2.0'
stages:
  prepare: {{cmd: p, outs: [{{path: data, md5: {hashes["data"]}}}], params: {{params.yaml: {{seed: 1, data.rows: 5}}}}}}
  sft:
    cmd: s
    deps: [{{path: data/train.jsonl, md5: {hashes["sft_read"]}}}, {{path: pipeline/a.py, md5: c}}]
    outs: [{{path: sft, md5: {hashes["sft"]}}}]
    params: {{params.yaml: {{train_sft: {{epochs: 2}}, seed: 1}}}}
  dpo:
    cmd: d
    deps: [{{path: sft, md5: s1}}]
    outs: [{{path: policy, md5: {hashes["policy"]}}}]
    params: {{params.yaml: {{optimize: {{dpo: {{beta: 0.3}}}}}}}}
  judge: {{cmd: j, outs: [{{path: judge, md5: j1}}], params: {{params.yaml: {{judge: {{kind: rules}}}}}}}}
"""
    return Lock(text, label="dvc.lock", names={"prepare", "sft", "dpo", "judge"})


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    path = tmp_path / LISTING[:2] / LISTING[2:]
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps([{"relpath": "train.jsonl", "md5": "t1"}]))
    return tmp_path


def test_parameters_of_every_stage_behind_and_of_no_other(cache: Path) -> None:
    found = behind(cache, lock(), {"policy": "p1"})
    assert list(found.stages) == ["prepare", "sft", "dpo"] and found.breaks == ()
    assert found.params() == {"seed": 1, "data.rows": 5, "train_sft.epochs": 2, "optimize.dpo.beta": 0.3}


@pytest.mark.parametrize(
    ("changed", "known", "unknown"),
    [
        ({"policy": "p2"}, [], "policy"),  # the checkpoint is not the one that dvc.lock tells of
        ({"sft": "s2"}, ["dpo"], "sft"),  # it was trained from another SFT policy
        ({"sft_read": "t2"}, ["sft", "dpo"], "data/train.jsonl"),  # that read other data, in a folder
    ],
)
def test_a_lineage_that_does_not_join_tells_nothing_of_what_is_behind_the_break(
    cache: Path, changed: dict[str, str], known: list[str], unknown: str
) -> None:
    found = behind(cache, lock(**changed), {"policy": "p1"})
    assert list(found.stages) == known and found.breaks == (unknown,)


def test_inputs_that_are_part_of_an_output_or_hold_several_are_joined_by_their_files(cache: Path) -> None:
    part = folder_hash({"train.jsonl": "t1"})
    text = f"""
schema: '2.0'
stages:
  one: {{cmd: a, outs: [{{path: in/a, md5: {LISTING}}}], params: {{params.yaml: {{a: 1}}}}}}
  two: {{cmd: b, outs: [{{path: in/b.txt, md5: b1}}], params: {{params.yaml: {{b: 2}}}}}}
"""
    both = Lock(text, label="dvc.lock", names={"one", "two"})
    whole = folder_hash({"a/train.jsonl": "t1", "b.txt": "b1"})
    assert behind(cache, both, {"in": whole}).params() == {"a": 1, "b": 2}
    assert behind(cache, both, {"in": folder_hash({"a/train.jsonl": "t1"})}).breaks == ("in",)
    nested = Lock(text.replace("in/a", "in"), label="dvc.lock", names={"one"})
    (cache / LISTING[:2] / LISTING[2:]).write_text(json.dumps([{"relpath": "a/train.jsonl", "md5": "t1"}]))
    assert behind(cache, nested, {"in/a": part}).params() == {"a": 1}
    assert behind(cache, nested, {"in/a": "0" * 32 + ".dir"}).breaks == ("in/a",)


def test_stages_that_ran_with_different_values_are_each_named(cache: Path) -> None:
    mixed = lock()
    mixed.stages["dpo"].params["seed"] = 2
    assert behind(cache, mixed, {"policy": "p1"}).params()["seed"] == "1 (prepare, sft); 2 (dpo)"


def test_a_name_tells_the_main_parameters_and_what_was_changed_of_others() -> None:
    place, params = {"method": "dpo", "seed": "0"}, {"optimize.dpo.beta": 0.3, "seed": 1}
    defaults = Defaults("then", {"optimize.dpo.beta": 0.3, "seed": 1})
    assert policy_name(place, params, defaults, None) == "dpo seed 0 · beta=0.3"  # committed, and told all the same
    assert (
        policy_name(place, {**params, "seed": 2}, defaults, "wavy-gnat") == "dpo seed 0 · beta=0.3 · seed=2 · wavy-gnat"
    )
    assert policy_name({}, {"seed": 1}, defaults, None) == "sft"
    both = {"optimize.dpo.beta": 0.3, "optimize.hybrid.kl_coef": 0.2}
    assert policy_name({**place, "method": "hybrid"}, both, defaults, None) == "hybrid seed 0 · beta=0.3 · kl_coef=0.2"
    many = {f"a.k{number}": number for number in range(5)}
    assert policy_name(place, many, defaults, None) == "dpo seed 0 · k0=0 · k1=1 · k2=2 · 2 more"


def test_a_name_tells_keys_apart_that_end_alike() -> None:
    rates = {"train_sft.learning_rate": 1, "optimize.dpo.learning_rate": 2, "optimize.dpo.batch": 3}
    names = {
        policy_name({}, rates, Defaults("then", {**rates, changed: 0}), None) for changed in rates
    }  # fmt: skip
    assert names == {"sft · train_sft.learning_rate=1", "sft · dpo.learning_rate=2", "sft · batch=3"}


def test_what_policies_are_compared_by_stands_above_the_sections() -> None:
    metrics = {"cut_rate": 1, "kl_nats_per_sequence": 2.0, "last": None, "by_category": []}
    metrics["judge_score"] = {"mean": 0.7, "low": 0.6, "high": 0.8}
    assert list(policy_metrics(metrics).items()) == [
        ("judge_score", 0.7), ("kl_nats_per_sequence", 2.0), ("detail/cut_rate", 1.0),
        ("interval/judge_score.low", 0.6), ("interval/judge_score.high", 0.8),
    ]  # fmt: skip


def test_a_curve_has_the_steps_of_the_history(tmp_path: Path) -> None:
    history = tmp_path / "h.jsonl"
    history.write_text('{"step": 1, "loss": 0.5, "note": "x"}\n{"step": 4, "loss": 0.25}\n')
    assert list(curve(history)) == [(1, {"train/loss": 0.5}), (4, {"train/loss": 0.25})]


def test_a_stage_whose_run_is_elsewhere_is_said_to_be() -> None:
    text = described({"sft": {"outs": {"sft": "s1"}, "seconds": 12.4}}, lambda *_: None)
    assert "- sft (not in this store), 12 s" in text


def test_the_last_stage_before_the_policy_is_told_first() -> None:
    """The UI folds all but the first lines."""
    lines = described({name: {"outs": {}} for name in ("sft", "dpo")}, lambda *_: None).splitlines()
    assert [line.split()[1] for line in lines if line.startswith("- ")] == ["dpo", "sft"]
