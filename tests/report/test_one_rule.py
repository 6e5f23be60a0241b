"""One rule for better: verdict, flags, colours, hacking, collapse and the recommendation say the same of a gain."""

import pytest

from pipeline.report.comparison import build_comparison
from pipeline.report.flags import find_flags
from pipeline.report.page_categories import category_rows
from pipeline.report.page_curves import pair_rows
from pipeline.report.page_decision import decide
from pipeline.report.page_policies import comparison_rows
from pipeline.report.verdict import state_verdict
from tests.report.trained_files import load, with_policy, with_scores


def prompts_differ(at):
    """What a prompt contributes to every policy's score: far more than training does."""
    return 0.1 + 0.2 * (at % 4)


def small(change, noise=0.02):
    """A score that training changed by a little on every prompt."""
    return lambda at: prompts_differ(at) + change + noise * (-1) ** (at // 4)


def with_gains(inputs, **gains):
    """The inputs whose methods' runs, of each seed, changed the judge score by so much; the reward score follows it."""
    sft = with_scores(inputs.sft, judge_score=prompts_differ, reward_score=prompts_differ)
    given = with_policy(inputs, sft)
    for name, changes in gains.items():
        for run, change in zip(inputs.runs[name], changes, strict=True):
            score = small(change)
            given = with_policy(given, with_scores(run, judge_score=score, reward_score=score))
    return given


def codes(inputs, params, policy):
    return [flag.code for flag in find_flags(inputs, params) if flag.policy == policy]


def tones(inputs, params, label):
    row = next(row for row in comparison_rows(inputs, params) if row.label == label)
    return [cell.tone for cell in row.cells[1:]]


@pytest.fixture
def dpo(write_reports):
    return load(write_reports(["dpo"]), ["dpo"])


@pytest.fixture
def three(write_reports):
    return load(write_reports(seeds=[0, 1, 2]), seeds=[0, 1, 2])


def test_a_small_sure_gain_is_better_everywhere(dpo, write_report_params):
    given = with_gains(dpo, dpo=[0.03])
    ours, before = given.policies["dpo"].metrics.judge_score, given.sft.metrics.judge_score
    assert ours.low < before.high, "the intervals of both means overlap"
    assert state_verdict(given).headline.startswith("DPO beats the SFT policy")
    assert codes(given, write_report_params, "dpo") == []
    assert tones(given, write_report_params, "Judge score") == tones(given, write_report_params, "Reward score")
    assert tones(given, write_report_params, "Judge score") == ["better"]
    assert decide(given).recommendation.startswith("DPO: it beats SFT")
    assert [row.clear for row in pair_rows(given)] == ["DPO is better"]
    assert category_rows(given)[0].cells[1].tone == "better"


def test_a_reward_that_rose_with_the_judge_is_no_hacking(dpo, write_report_params):
    """The reward's intervals lie apart and the judge's overlap; both rose on every prompt."""
    given = with_gains(dpo, dpo=[0.03])
    clear = with_scores(given.trained["dpo"], reward_score=small(2.0))
    assert codes(with_policy(given, clear), write_report_params, "dpo") == []


def test_a_gain_that_may_be_chance_is_better_nowhere(dpo, write_report_params):
    given = with_policy(
        with_gains(dpo, dpo=[0.03]), with_scores(dpo.trained["dpo"], judge_score=small(0.03, noise=0.3))
    )
    assert state_verdict(given).headline == "DPO does not beat the SFT policy beyond chance."
    assert "no_improvement" in codes(given, write_report_params, "dpo")
    assert tones(given, write_report_params, "Judge score") == ["same"]
    assert tones(given, write_report_params, "Win rate against SFT") == ["same"]
    assert decide(given).recommendation.startswith("Neither")


def test_a_small_sure_fall_is_worse_everywhere(dpo, write_report_params):
    given = with_gains(dpo, dpo=[-0.03])
    assert state_verdict(given).headline == "DPO does not beat the SFT policy beyond chance."
    assert codes(given, write_report_params, "dpo") == ["judge_below_sft"]
    assert tones(given, write_report_params, "Judge score") == ["worse"]


def test_seeds_that_spread_make_a_difference_chance(three, write_report_params):
    """The median run gained on every prompt, but a third of the seeds lost: no seed can be promised to gain."""
    given = with_gains(three, dpo=[0.03, 0.04, -0.08], ppo=[0.03, 0.031, 0.029])
    found = {
        row["first"] + row["second"]: row for row in build_comparison(given, write_report_params).as_json()["pairs"]
    }
    assert found["dposft"]["over"] == ["seeds", "prompts"]
    assert found["dposft"]["judge_score_difference"]["low"] < 0 < found["pposft"]["judge_score_difference"]["low"]
    flags = [flag for flag in find_flags(given, write_report_params) if flag.code == "no_improvement"]
    assert [(flag.policy, flag.seed) for flag in flags] == [("dpo", None)]
    assert "over 3 seeds and 48 prompts" in flags[0].message
    assert tones(given, write_report_params, "Judge score") == ["same", "better"]
    assert category_rows(given)[0].cells[1].tone == "same"
    verdict = state_verdict(given)
    assert verdict.headline.startswith("PPO beats the SFT policy") and "no clear difference" in verdict.sentences[2]
    assert decide(given).recommendation.startswith("PPO: nothing else beats SFT beyond chance")


def test_a_collapsed_seed_is_named_by_its_own_fall(three, write_report_params):
    given = with_gains(three, dpo=[0.03, 0.031, 0.029], ppo=[0.03, 0.031, -0.03])
    flags = [flag for flag in find_flags(given, write_report_params) if flag.code == "seed_collapsed"]
    assert [(flag.policy, flag.seed) for flag in flags] == [("ppo", 2)]
    assert "judge score below SFT's" in flags[0].message


def test_a_pair_has_one_interval_whichever_stands_first(three, write_report_params):
    given = with_gains(three, dpo=[0.05, 0.09, 0.07], ppo=[0.01, 0.02, 0.03])
    (pair,) = [row for row in build_comparison(given, write_report_params).as_json()["pairs"] if row["second"] == "dpo"]
    high = f"{-pair['judge_score_difference']['low']:+.3f}"
    assert f"to {high}), over 3 seeds and 48 prompts" in state_verdict(given).sentences[2]


def test_the_verdict_says_what_an_interval_is_over(dpo, three):
    alone = " ".join(state_verdict(dpo).sentences)
    assert "95 % interval" in alone and "over 48 prompts" in alone
    assert "how much another seed would change this was not measured" in alone
    several = " ".join(state_verdict(three).sentences)
    assert "over 3 seeds and 48 prompts" in several and "not measured" not in several


def test_kl_is_compared_on_the_same_prompts(three):
    """The prompts cost from 1 to 7 nats; one method pays half a nat more on each of them."""
    given = three
    for name, more in (("dpo", 0.5), ("ppo", 0.0)):
        for run in three.runs[name]:
            given = with_policy(given, with_scores(run, kl_nats=lambda at, more=more: 1 + 2 * (at % 4) + more))
    assert "PPO stays closer to SFT" in " ".join(state_verdict(given).sentences)
