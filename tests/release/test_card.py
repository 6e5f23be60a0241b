"""What the cards say: of a policy, and of the reward model when a bought one is in use."""

from collections.abc import Sequence
from typing import Any

import pytest
from huggingface_hub import ModelCard

from pipeline.params.loading import flatten
from pipeline.params.schema import Params
from pipeline.release.card import Facts, Metric, model_card, policy_facts, reward_model_facts
from pipeline.results.comparison import ComparedMethod, Comparison, Flag, PairCounts
from pipeline.results.document import Interval
from pipeline.results.reward import ComparedRewardModel, RewardMetrics
from tests.least_documents import least

PAIRS = PairCounts(raw=10, accepted=9, quarantined=1)


def row(name: str, accuracy: float) -> ComparedRewardModel:
    interval = Interval(mean=accuracy, low=0.0, high=1.0)
    return least(ComparedRewardModel, name=name, accuracy=interval, expected_calibration_error=accuracy / 10)


def facts_of(name: str, flags: Sequence[Flag] = (), **figures: Any) -> Facts:
    method = least(ComparedMethod, **figures)
    return policy_facts(name, least(Comparison, preferences=PAIRS, policies={name: method}, flags=list(flags)), {})


@pytest.mark.parametrize(("used", "flags"), [("own", ["badly calibrated"]), ("bought", [])])
def test_it_tells_of_the_own_model_and_flags_belong_to_the_one_in_use(used: str, flags: list[str]) -> None:
    models = [row("own", 0.7), row("bought", 0.9)]
    metrics = least(RewardMetrics, model=used, models=models, longer_wins_accuracy=0.5)
    raised = [Flag(subject="reward_model", code="", message="badly calibrated")]
    raised.append(Flag(subject="preferences", code="", message="few"))
    facts = reward_model_facts(least(Comparison, preferences=PAIRS, flags=raised), metrics)
    assert [metric.value for metric in facts.metrics] == [0.7, 0.5, pytest.approx(0.07)]
    assert facts.flags == flags


@pytest.mark.parametrize(("share", "texts"), [(0.61, ["0.610"]), (None, [])])
def test_the_win_rate_at_equal_length_is_told_where_there_is_one(share: float | None, texts: list[str]) -> None:
    facts = facts_of("dpo", length_controlled_win_rate=share)
    assert [metric.text for metric in facts.metrics if metric.name.endswith("at equal length")] == texts


@pytest.mark.parametrize(("seed", "flags"), [(0, ["of all", "of seed 0"]), (1, ["of all", "of seed 1"])])
def test_flags_of_other_seeds_are_not_those_of_the_published_run(seed: int, flags: list[str]) -> None:
    raised = [Flag(policy="dpo", code="", message="of all")]
    raised.append(Flag(policy="ppo", seed=0, code="", message="of another method"))
    raised += [Flag(policy="dpo", seed=one, code="", message=f"of seed {one}") for one in (0, 1)]
    assert facts_of("dpo", raised, seed=seed).flags == flags


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
