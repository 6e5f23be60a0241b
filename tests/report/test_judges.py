"""Judges: whether one is to be trusted, and whether a gain holds under both."""

from dataclasses import replace

import pytest

from pipeline.report.comparison import build_comparison
from pipeline.report.flags import find_flags
from pipeline.report.judges import judge_warnings, learned_from_the_pairs
from pipeline.report.page_decision import decide
from pipeline.report.page_judges import judge_section
from pipeline.report.page_policies import comparison_rows
from pipeline.report.verdict import state_verdict
from pipeline.results.comparison import Comparison
from pipeline.stage.policy_report import best_policy
from tests.report.trained_files import load, with_policy, with_scores


def easy(at):
    return 0.1 + 0.2 * (at % 4)


def changed_by(change):
    return lambda at: easy(at) + change + 0.02 * (-1) ** (at // 4)


@pytest.fixture
def dpo(write_reports):
    return load(write_reports(["dpo"]), ["dpo"])


def with_gains(inputs, *, first, second):
    """DPO changed the scores of the two judges by so much on every prompt."""
    given = with_policy(inputs, with_scores(inputs.sft, judge_score=easy, second_judge_score=easy, reward_score=easy))
    scores = {
        "judge_score": changed_by(first),
        "second_judge_score": changed_by(second),
        "reward_score": changed_by(first),
    }
    return with_policy(given, with_scores(inputs.trained["dpo"], **scores))


def with_problem(inputs, which, problem="right on 0.520 of 2000 held-out texts, below judge.min_accuracy 0.6"):
    one = inputs.judge if which is None else getattr(inputs.judge, which)
    poor = one.model_copy(update={"problem": problem})
    return replace(inputs, judge=poor if which is None else inputs.judge.model_copy(update={which: poor}))


def codes(inputs, params):
    return [flag.code for flag in find_flags(inputs, params)]


def test_a_gain_that_holds_under_both(dpo, write_report_params):
    given = with_gains(dpo, first=0.05, second=0.03)
    assert "holds under both judges" in " ".join(state_verdict(given).sentences)
    assert codes(given, write_report_params) == []
    assert decide(given).recommendation == "DPO: it beats SFT, and nothing else was run."
    row = next(row for row in comparison_rows(given, write_report_params) if row.label == "Second judge's score")
    assert [cell.tone for cell in row.cells] == ["same", "better"]


def test_a_gain_that_the_second_judge_does_not_see(dpo, write_report_params):
    given = with_gains(dpo, first=0.05, second=0.0)
    assert "does not hold under both judges" in " ".join(state_verdict(given).sentences)
    (flag,) = find_flags(given, write_report_params)
    assert (flag.policy, flag.code) == ("dpo", "gain_not_confirmed")
    assert "does not confirm the gain of DPO" in decide(given).recommendation
    comparison = build_comparison(given, write_report_params).as_json()
    wrote = {"reports/policies/dpo/seed-0/samples.jsonl": "hash"}
    assert set(best_policy(Comparison.model_validate(comparison), wrote)["flags"]) == {"gain_not_confirmed"}, (
        "it does not become champion unseen"
    )


def test_a_second_judge_that_is_no_better_than_a_coin_confirms_nothing(dpo, write_report_params):
    for gain in (0.05, 0.0):
        given = with_problem(with_gains(dpo, first=0.05, second=gain), "second")
        assert codes(given, write_report_params) == ["second_judge_below_minimum"]
        assert "confirms nothing" in " ".join(state_verdict(given).sentences)
        assert "confirm" not in decide(given).recommendation


def test_no_verdict_rests_on_a_judge_that_is_no_better_than_a_coin(dpo, write_report_params):
    given = with_problem(with_gains(dpo, first=0.05, second=0.03), "evaluation")
    assert state_verdict(given).headline.startswith("No verdict")
    assert "below judge.min_accuracy" in state_verdict(given).sentences[0]
    assert codes(given, write_report_params) == ["judge_below_minimum"]
    assert decide(given).recommendation.startswith("None can be recommended")
    comparison = build_comparison(given, write_report_params).as_json()
    assert comparison["judges"]["classifier"]["problem"].startswith("right on 0.520")
    wrote = {"reports/policies/dpo/seed-0/samples.jsonl": "hash"}
    assert set(best_policy(Comparison.model_validate(comparison), wrote)["flags"]) == {"judge_below_minimum"}


def test_a_judge_that_ranked_pairs_badly_is_flagged_and_the_verdict_stands(dpo, write_report_params):
    given = with_problem(with_gains(dpo, first=0.05, second=0.03), None)
    assert codes(given, write_report_params) == ["judge_below_minimum"]
    assert state_verdict(given).headline.startswith("DPO beats")


def test_judges_and_gains_for_machines(write_reports, write_report_params):
    inputs = load(write_reports(seeds=[0, 1, 2]), seeds=[0, 1, 2])
    comparison = build_comparison(inputs, write_report_params).as_json()
    assert list(comparison["judges"]) == ["classifier", "lexicon"], "the one that gives the judge score first"
    first, second = comparison["judges"].values()
    assert first["shared_error_share"] is None and second["shared_error_share"] == 0.41
    assert {"family", "fitted_on", "accuracy", "shared_error_share"} <= set(first) & set(second)
    pairs = {(row["first"], row["second"]): row["judge_score_difference"] for row in comparison["pairs"]}
    for name in ("dpo", "ppo"):
        gains = comparison["policies"][name]["gains"]
        assert set(gains) == set(comparison["judges"])
        assert all(set(gain) == {"mean", "low", "high", "over"} for gain in gains.values())
        assert gains["classifier"] == {**pairs[name, "sft"], "over": ["seeds", "prompts"]}


def test_where_the_judges_agree(dpo):
    """The judges part on every second prompt."""
    given = with_gains(dpo, first=0.05, second=0.05)
    split = with_scores(given.trained["dpo"], second_judge_score=lambda at: easy(at) + (0.25 if at % 2 else -0.25))
    rows = {row.category: row for row in judge_section(with_policy(given, split)).agreement}
    assert rows["All"].same == "50\N{NO-BREAK SPACE}%"
    assert (rows["<i>sad</i>"].same, rows["glad"].same) == ("100\N{NO-BREAK SPACE}%", "0\N{NO-BREAK SPACE}%")
    assert (rows["glad"].first_tone, rows["glad"].second_tone) == ("better", "worse")


def test_without_a_second_judge_nothing_is_said_of_one(dpo, write_report_params):
    alone = replace(dpo, judge=dpo.judge.model_copy(update={"second": None}))
    comparison = build_comparison(alone, write_report_params).as_json()
    assert list(comparison["judges"]) == ["classifier"] == list(comparison["policies"]["dpo"]["gains"])
    assert "second judge" not in " ".join(state_verdict(alone).sentences).lower()
    assert judge_section(alone).agreement == []


def test_a_judge_that_learned_from_the_same_pairs_is_said(dpo):
    """Preferences without a share for the judge: what both mistook counts as a gain."""
    assert learned_from_the_pairs(dpo) is None
    sources = [one.model_copy(update={"fates": {"used.train": 560}}) for one in dpo.sources.sources]
    given = replace(dpo, sources=dpo.sources.model_copy(update={"sources": sources}))
    assert "judge_not_independent" in [code for code, _ in judge_warnings(given)]
    assert "gains are too large" in " ".join(state_verdict(given).sentences)
    taken = replace(given, judge=given.judge.model_copy(update={"evaluation": None, "kind": "chat"}))
    assert learned_from_the_pairs(taken) is None
