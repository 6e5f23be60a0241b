"""What is recommended, and what each method took: samples, steps, time, spread over seeds."""

from dataclasses import replace

from pipeline.report.cost_documents import StageCost
from pipeline.report.page_costs import cheapest_first, cost_table, decision_costs, stages_of
from pipeline.report.page_decision import decide
from tests.report.cost_files import made_costs
from tests.report.decision_rows import row_of
from tests.report.trained_files import load, with_metrics, with_policy


def shifted(inputs, name, by):
    """The judge scores of a policy, every sample by as much."""
    policy = inputs.policies[name]
    samples = [sample.model_copy(update={"judge_score": sample.judge_score + by}) for sample in policy.samples]
    score = policy.metrics.judge_score.model_copy(update={"mean": policy.metrics.judge_score.mean + by})
    return with_policy(inputs, replace(with_metrics(policy, judge_score=score), samples=samples))


def test_the_clearly_better_is_recommended(inputs):
    assert decide(inputs).recommendation == "PPO or DPO, whichever costs you less: they do not differ beyond chance."
    assert decide(shifted(inputs, "ppo", 0.5)).recommendation.startswith("PPO: its judge score is higher")
    worse = shifted(shifted(inputs, "ppo", -0.9), "dpo", -0.9)
    assert decide(worse).recommendation.startswith("Neither: ")


def test_what_each_took_is_told_where_all_of_it_was_measured(inputs):
    costs = made()
    # 110 s against 218 s of training, 56 s of the reward model and its evaluation
    assert cheapest_first(inputs, costs) == "With its own inputs each took: DPO 1 min 50 s, PPO 4 min 34 s."
    del costs["train_reward"]
    assert cheapest_first(inputs, costs) is None
    assert [list(row.cells) for row in decision_costs(inputs, costs)][:2] == [
        ["1 min 28 s", "3 min 38 s"],
        ["1 min 50 s", "–"],
    ]


def made(methods=("dpo", "ppo"), seeds=(0,)):
    return {name: StageCost(**cost) for name, cost in made_costs(methods, seeds)}


def test_every_method_has_a_cell_in_every_row(inputs):
    assert all(len(row.cells) == 2 for row in decide(inputs).rows)


def test_samples_seen_are_steps_times_batch(write_reports):
    inputs = load(write_reports(["dpo", "ppo", "hybrid"]), ["dpo", "ppo", "hybrid"])
    hybrid = inputs.trained["hybrid"]
    given = with_policy(inputs, replace(hybrid, history=[{"step": 1.0, "prompts": 40.0}, *hybrid.history]))
    # 48 steps of 8 pairs; 15 rollouts of 64, where the first row of hybrid is none
    assert list(row_of(given, "Samples seen").cells) == ["up to 384 pairs", "960 episodes", "960 episodes, after DPO"]
    assert list(row_of(given, "Optimiser steps").cells) == ["48", "15", "15"]


def test_stability_is_measured_with_several_seeds_only(write_reports):
    inputs = load(write_reports(["dpo"], seeds=[0, 1]), ["dpo"], [0, 1])
    assert list(row_of(load(write_reports(["dpo"]), ["dpo"]), "Stability").cells) == ["not measured: one seed"]
    for run, score in zip(inputs.runs["dpo"], (0.70, 0.76), strict=True):
        changed = run.metrics.judge_score.model_copy(update={"mean": score})
        inputs = with_policy(inputs, with_metrics(run, judge_score=changed))
    # two values 0.06 apart: 0.06 / sqrt 2
    assert list(row_of(inputs, "Stability").cells) == ["0.042, 0.700 to 0.760 over 2 seeds"]


def test_hybrid_costs_what_its_start_cost_too(write_reports):
    inputs = load(write_reports(["dpo", "ppo", "hybrid"]), ["dpo", "ppo", "hybrid"])
    assert stages_of(inputs, inputs.trained["hybrid"]) == [
        "train_reward", "evaluate_reward", "score_reference", "optimize_policy@dpo-0", "select_checkpoint@dpo-0",
        "find_regressions@0", "optimize_policy@hybrid-0",
    ]  # fmt: skip
    # 52.3 + 4.1 + 21.7 + 88 + 40 + 30 + 218 s
    costs = made(["dpo", "ppo", "hybrid"])
    assert decision_costs(inputs, costs)[1].cells[2] == "7 min 34 s"
    assert cost_table(inputs, costs).missing == []


def test_hybrid_costs_the_start_of_its_own_seed_only(write_reports):
    inputs = load(write_reports(["dpo", "hybrid"], seeds=[0, 1]), ["dpo", "hybrid"], [0, 1])
    stages = stages_of(inputs, inputs.runs["hybrid"][1])
    assert [stage for stage in stages if "dpo" in stage] == ["optimize_policy@dpo-1", "select_checkpoint@dpo-1"]
