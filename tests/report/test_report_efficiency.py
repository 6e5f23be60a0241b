"""KL for a judge score along a line, by hand, and what is recommended from it."""

from dataclasses import replace

import pytest

from pipeline.report.efficiency import kl_for_score, kl_spent, score_at_kl
from pipeline.report.page_decision import decide

LINE = [(0.0, 0.5), (1.0, 0.6), (3.0, 0.8), (5.0, 0.7)]


@pytest.mark.parametrize(("score", "kl"), [(0.4, 0.0), (0.5, 0.0), (0.55, 0.5), (0.7, 2.0), (0.8, 3.0), (0.81, None)])
def test_the_first_kl_that_reaches_a_score(score, kl):
    assert kl_for_score(LINE, score) == (None if kl is None else pytest.approx(kl))


@pytest.mark.parametrize(("kl", "score"), [(0.0, 0.5), (0.5, 0.55), (4.0, 0.75), (5.0, 0.7), (5.1, None)])
def test_the_score_at_a_kl(kl, score):
    assert score_at_kl(LINE, kl) == (None if score is None else pytest.approx(score))


def test_a_line_of_one_point():
    assert kl_for_score([(0.0, 0.7)], 0.65) == 0.0 and kl_for_score([(0.0, 0.6)], 0.65) is None
    assert kl_for_score([], 0.65) is None


def test_ratios_are_to_best_of_n(inputs):
    row = kl_spent(inputs)["0.65"]
    assert set(row) == {"best_of_n", "dpo", "ppo", "dpo_ratio", "ppo_ratio"}
    for name in ("dpo", "ppo"):
        if row[name] is not None and row["best_of_n"]:
            assert row[f"{name}_ratio"] == pytest.approx(row[name] / row["best_of_n"], rel=1e-3)


def shifted(inputs, name, by):
    """The judge scores of a policy, every sample by as much."""
    policy = inputs.policies[name]
    samples = [sample.model_copy(update={"judge_score": sample.judge_score + by}) for sample in policy.samples]
    score = policy.metrics.judge_score.model_copy(update={"mean": policy.metrics.judge_score.mean + by})
    changed = replace(policy, samples=samples, metrics=policy.metrics.model_copy(update={"judge_score": score}))
    return replace(inputs, policies={**inputs.policies, name: changed})


def test_the_clearly_better_or_the_cheaper_is_recommended(inputs):
    # 110 s against 218 s of training, 56 s of the reward model and its evaluation
    assert decide(inputs).recommendation.startswith("DPO: ")
    assert "do not differ beyond chance" in decide(inputs).recommendation
    assert decide(shifted(inputs, "ppo", 0.5)).recommendation.startswith("PPO: its judge score is higher")
    worse = shifted(shifted(inputs, "ppo", -0.9), "dpo", -0.9)
    assert decide(worse).recommendation.startswith("Neither: ")
    assert "were not measured" in decide(replace(inputs, costs={})).recommendation


def test_every_method_has_a_cell_in_every_row(inputs):
    assert all(len(row.cells) == 2 for row in decide(inputs).rows)
