"""What the cards say: of a policy, and of the reward model when a bought one is in use."""

from typing import Any

import pytest
from huggingface_hub import ModelCard

from pipeline.params.loading import flatten
from pipeline.params.schema import Params
from pipeline.release.card import Facts, Metric, model_card, policy_facts, reward_model_facts

COMPARISON: dict[str, Any] = {
    "preferences": {"accepted": 9, "raw": 10},
    "flags": [{"subject": "reward_model", "message": "badly calibrated"}, {"subject": "preferences", "message": "few"}],
}


def row(name: str, accuracy: float) -> dict[str, Any]:
    interval = {"mean": accuracy, "low": 0.0, "high": 1.0}
    return {"name": name, "accuracy": interval, "expected_calibration_error": accuracy / 10}


@pytest.mark.parametrize(("used", "flags"), [("own", ["badly calibrated"]), ("bought", [])])
def test_it_tells_of_the_own_model_and_flags_belong_to_the_one_in_use(used: str, flags: list[str]) -> None:
    metrics = {"model": used, "models": [row("own", 0.7), row("bought", 0.9)], "longer_wins_accuracy": 0.5}
    facts = reward_model_facts(COMPARISON, metrics)
    assert [metric.value for metric in facts.metrics] == [0.7, 0.5, pytest.approx(0.07)]
    assert facts.flags == flags


@pytest.mark.parametrize(("share", "texts"), [(0.61, ["0.610"]), (None, [])])
def test_the_win_rate_at_equal_length_is_told_where_there_is_one(share: float | None, texts: list[str]) -> None:
    interval = {"mean": 0.7, "low": 0.6, "high": 0.8}
    entry = {
        "judge_score": interval, "reward_score": interval, "win_rate_vs_sft": interval, "kl_nats_per_sequence": 2.0,
        "perplexity_held_out": 40.0, "distinct_2": 0.7, "length_controlled_win_rate": share,
    }  # fmt: skip
    facts = policy_facts("dpo", {**COMPARISON, "policies": {"dpo": entry}}, {})
    assert [metric.text for metric in facts.metrics if metric.name.endswith("at equal length")] == texts


@pytest.mark.parametrize(("seed", "flags"), [(0, ["of all", "of seed 0"]), (1, ["of all", "of seed 1"])])
def test_flags_of_other_seeds_are_not_those_of_the_published_run(seed: int, flags: list[str]) -> None:
    interval = {"mean": 0.7, "low": 0.6, "high": 0.8}
    entry = {
        "judge_score": interval, "reward_score": interval, "win_rate_vs_sft": interval, "kl_nats_per_sequence": 2.0,
        "perplexity_held_out": 40.0, "distinct_2": 0.7, "length_controlled_win_rate": None, "seed": seed,
    }  # fmt: skip
    raised = [{"policy": "dpo", "message": "of all"}, {"policy": "ppo", "seed": 0, "message": "of another method"}]
    raised += [{"policy": "dpo", "seed": one, "message": f"of seed {one}"} for one in (0, 1)]
    comparison = {**COMPARISON, "policies": {"dpo": entry}, "flags": raised}
    assert policy_facts("dpo", comparison, {}).flags == flags


def data_of(name: str, params: Params, **changed: object) -> Any:
    values = flatten(params.model_dump()) | changed
    facts = Facts("text-generation", [], [])
    return ModelCard(model_card(name, facts, params=values, section="optimize.dpo", digests={})).data


def test_base_models_and_license_are_named_where_they_are_known(params: Params) -> None:
    dpo, reward = data_of("dpo", params), data_of("reward_model", params)
    assert (dpo.base_model, dpo.license, dpo.datasets) == ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0", None)
    assert reward.base_model == "sentence-transformers/all-MiniLM-L6-v2"
    assert data_of("dpo", params, **{"publish_models.license": "mit"}).license == "mit"


@pytest.mark.parametrize(("source", "base"), [("someone/a-model", "someone/a-model"), ("data/models/own/v2", None)])
def test_another_starting_model_does_not_inherit_them(params: Params, source: str, base: str | None) -> None:
    card = data_of("dpo", params, **{"models.policy.source": source})
    assert (card.base_model, card.license) == (base, None)
    assert card.to_dict().get("base_model_relation") == ("finetune" if base else None)


def test_data_sets_of_the_hub_are_named(params: Params) -> None:
    mix = [{"name": "hub:someone/pairs", "share": 0.5}, {"name": "data/raw/mine.csv", "share": 1.0}]
    assert data_of("dpo", params, **{"data.source": mix}).datasets == ["someone/pairs"]
    assert data_of("dpo", params, **{"data.source": "hub:someone/pairs"}).datasets == ["someone/pairs"]


def test_results_are_on_the_data_set_that_the_hub_knows(params: Params) -> None:
    metric = Metric("accuracy", "Accuracy", 0.5)
    for source, kind in (("hub:someone/pairs", "someone/pairs"), ("data/raw/mine.csv", "held-out")):
        values = flatten(params.model_dump()) | {"data.source": source}
        facts = Facts("text-generation", [metric], [])
        card = ModelCard(model_card("dpo", facts, params=values, section="optimize.dpo", digests={}))
        (result,) = card.data.eval_results or []
        assert (result.dataset_type, result.metric_value) == (kind, 0.5)
