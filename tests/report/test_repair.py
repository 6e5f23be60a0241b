"""Whether hybrid repaired anything, on prompts that nothing was chosen by."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from pipeline.evaluation.regressions import compare_categories
from pipeline.report.comparison import build_comparison
from pipeline.report.page_categories import category_rows
from pipeline.report.page_repair import repair_table
from pipeline.report.pairs import difference
from pipeline.report.repair import verify, verify_run
from tests.report.trained_files import REPAIR, checkpoints, load, point, with_policy, with_scores

METHODS = ["dpo", "hybrid"]
SAD = "<i>sad</i>"
RUNS = 1000


@pytest.fixture
def hybrid(write_reports):
    """On sad prompts, every second one, DPO falls to 0.4 of 0.5 and hybrid rises to 0.6; on glad ones nothing moves."""
    return with_sad(load(write_reports(METHODS), METHODS), dpo=-0.1, hybrid=0.1)


def with_sad(inputs, **changes):
    given = with_policy(inputs, with_scores(inputs.sft, judge_score=scores(0.0)))
    for name, change in changes.items():
        given = with_policy(given, with_scores(given.trained[name], judge_score=scores(change)))
    return given


def scores(change):
    """What prompts contribute, a change on the sad ones, and noise that differs with the change."""
    return lambda at: 0.5 + 0.1 * (at % 3) + (change if at % 2 else 0) + 0.25 * (-1) ** (at // 2) * (0.2 + change)


def test_a_repair_is_told_on_evaluation_prompts(hybrid, write_report_params):
    sad, glad = build_comparison(hybrid, write_report_params).as_json()["repair"]["seed-0"]
    assert (sad["category"], sad["trained_on"], sad["prompts"], sad["outcome"]) == (SAD, True, 24, "better")
    assert sad["start_minus_sft"]["high"] < 0 < sad["hybrid_minus_start"]["low"] and sad["hybrid_minus_sft"]["low"] > 0
    assert (glad["trained_on"], glad["outcome"]) == (False, "no clear change")


def test_the_page_says_repaired_not_and_made_worse(hybrid):
    table = repair_table(hybrid)
    assert table.rows[0][0] == SAD and table.rows[0][-2:] == ["trained on", "repaired beyond chance"]
    assert table.rows[1][-2:] == ["only checked", "no clear change"]
    assert "in 1 of 2 categories (<i>sad</i>); PPO trained on their 40 prompts." in table.sentence
    assert table.sentence.endswith("1 of 1 repaired beyond chance.")
    for change, words in ((-0.1, "no repair beyond chance"), (-0.3, "made worse")):
        assert repair_table(with_sad(hybrid, hybrid=change)).rows[0][-1] == words


def test_where_categories_stand_the_repair_is_told_too(write_reports):
    given = with_sad(load(write_reports(METHODS), METHODS), dpo=-0.1, hybrid=0.1)
    details = {row.category: row.cells[2].detail for row in category_rows(given)}
    assert details[SAD].endswith("; against DPO: repaired beyond chance") and "against DPO" not in details["glad"]


def test_a_hybrid_is_compared_with_the_run_of_its_own_seed(write_reports):
    """Another seed's DPO had not fallen: against that one, there would be no repair."""
    inputs = load(write_reports(METHODS, seeds=[0, 1]), METHODS, [0, 1])
    given = with_policy(inputs, with_scores(inputs.sft, judge_score=scores(0.0)))
    for name, changes in (("dpo", (-0.1, 0.1)), ("hybrid", (0.1, 0.1))):
        for run, change in zip(inputs.runs[name], changes, strict=True):
            given = with_policy(given, with_scores(run, judge_score=scores(change)))
    assert [verify_run(given, run)[0].outcome for run in given.runs["hybrid"]] == ["better", "no clear change"]


def test_a_category_without_evaluation_prompts_has_no_result(hybrid):
    run = hybrid.trained["hybrid"]
    found = run.checkpoints.repair
    renamed = [one.model_copy(update={"category": f"lost {one.category}"}) for one in found.categories]
    lost = found.model_copy(update={"categories": renamed})
    given = with_policy(hybrid, replace(run, checkpoints=run.checkpoints.model_copy(update={"repair": lost})))
    assert repair_table(given).rows[0][2:] == ["0", "–", "–", "–", "trained on", "too few prompts to tell"]


def test_hybrid_with_nothing_to_repair(write_reports):
    root = write_reports(METHODS)
    kept = [one | {"regressed": False} for one in REPAIR["categories"]]
    repair = REPAIR | {"categories": kept, "prompts_trained": 0}
    path = root / "reports/checkpoints/hybrid/seed-0.json"
    path.write_text(json.dumps(checkpoints([point(0, 0, 0.47), point(1, 2, 0.7)], repair=repair)))
    sentence = repair_table(load(root, METHODS)).sentence
    assert sentence.startswith("No category's judge score had fallen beyond chance and by more than 0.02")
    assert "it stays DPO" in sentence and repair_table(load(write_reports())) is None


def test_of_a_judge_that_throws_dice_no_repair_is_seen_but_by_looking_at_the_same_prompts_again():
    """What has fallen by chance comes back by chance: on the same prompts mostly, on others in 1 of 40 runs."""
    rng = np.random.default_rng(0)
    categories = [f"kind {number % 4}" for number in range(160)]
    found, same, others = 0, 0, 0
    for _ in range(RUNS):
        sft, start, again = (rng.random(160) for _ in range(3))
        table = compare_categories(categories, sft, start, confidence=0.0, max_drop=0.02)
        regressed = [row.category for row in table if row.before < row.sft - 0.02]
        if not regressed:
            continue
        found += 1
        inside = [[one == name for one in categories] for name in regressed]
        # as it was: the mean after, on the prompts where it was found, back at SFT's but for 0.02
        same += any(again[one].mean() >= sft[one].mean() - 0.02 > start[one].mean() for one in inside)
        elsewhere = [rng.random(160).tolist() for _ in range(3)]
        rows = verify(
            regressed, [], categories=categories, sft=elsewhere[0], start=elsewhere[1], hybrid=elsewhere[2],
            confidence=0.95,
        )  # fmt: skip
        others += any(row.outcome == "better" for row in rows)
    assert found > 0.7 * RUNS and same / found > 0.5
    assert abs(others / found - 0.025) < 3 * (0.025 * 0.975 / found) ** 0.5


def test_a_hybrid_and_its_start_share_their_seed(write_reports):
    """Seeds of DPO far apart: what hybrid added to each is known all the same, and nothing is nothing."""
    inputs = load(write_reports(METHODS, seeds=[0, 1, 2]), METHODS, [0, 1, 2])
    for added, expected in ((0.03, (0.02, 0.04)), (0.0, (-0.1, 0.1))):
        given = inputs
        for name, more in (("dpo", 0.0), ("hybrid", added)):
            for run, far in zip(inputs.runs[name], (0.4, 0.6, 0.8), strict=True):
                given = with_policy(given, with_scores(run, judge_score=partial(shifted, far, more)))
        found, turned = difference(given, "hybrid", "dpo"), difference(given, "dpo", "hybrid")
        assert expected[0] <= found.low <= found.high <= expected[1]
        assert (turned.mean, turned.low, turned.high) == (-found.mean, -found.high, -found.low)


def shifted(mean, more, at):
    return mean + more + (0.02 if more else 0.0) * (-1) ** (at // 2)
