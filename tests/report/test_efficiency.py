"""KL for a judge score along a line, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.report.comparison import build_comparison
from pipeline.report.efficiency import kl_at_own_gain, kl_for_score, kl_spent, lines, score_at_kl
from pipeline.report.page_decision import decide
from tests.report.decision_rows import row_of
from tests.report.trained_files import PROMPTS, with_policy

LINE = [(0.0, 0.5), (1.0, 0.6), (3.0, 0.8), (5.0, 0.7)]
HALFWAY = ((1 + 3**0.5) / 2) ** 2
"""Nats at which the root of KL is halfway between 1 and 3 nats."""


@pytest.mark.parametrize(
    ("score", "kl"), [(0.4, 0.0), (0.5, 0.0), (0.55, 0.25), (0.7, HALFWAY), (0.8, 3.0), (0.81, None)]
)
def test_the_first_kl_that_reaches_a_score(score, kl):
    assert kl_for_score(LINE, score) == (None if kl is None else pytest.approx(kl))


@pytest.mark.parametrize(("kl", "score"), [(0.0, 0.5), (0.25, 0.55), (HALFWAY, 0.7), (5.0, 0.7), (5.1, None)])
def test_the_score_at_a_kl(kl, score):
    assert score_at_kl(LINE, kl) == (None if score is None else pytest.approx(score))


def test_a_line_of_one_point():
    assert kl_for_score([(0.0, 0.7)], 0.65) == 0.0 and kl_for_score([(0.0, 0.6)], 0.65) is None
    assert kl_for_score([], 0.65) is None


BEST = [(0.0, 0.5), (0.5, 0.6), (1.0, 0.7)]
"""KL and mean judge score of best-of-n."""


def with_lines(inputs, best, **lines):
    """The inputs whose lines have these means; prompts gain in proportion, half to one and a half times it."""

    def by_prompt(mean, start):
        return [start + (mean - start) * (0.5 + at / 63) + 0.1 * (-1) ** at for at in range(PROMPTS)]

    frontier = [
        point.model_copy(
            update={
                "kl_nats_per_sequence": kl, "judge_scores": by_prompt(mean, best[0][1]),
                "judge_score": point.judge_score.model_copy(update={"mean": mean}),
            }
        )
        for point, (kl, mean) in zip(inputs.sft.frontier, best, strict=False)
    ]  # fmt: skip
    given = with_policy(inputs, replace(inputs.sft, frontier=frontier))
    for name, line in lines.items():
        run = inputs.trained[name]
        points = [
            point.model_copy(update={"kl_nats": [kl] * PROMPTS, "judge_scores": by_prompt(mean, line[0][1])})
            for point, (kl, mean) in zip(run.checkpoints.points, line, strict=False)
        ]
        checkpoints = run.checkpoints.model_copy(update={"points": points})
        given = with_policy(given, replace(run, checkpoints=checkpoints))
    return given


def test_targets_are_the_largest_common_gain_and_half_of_it(inputs):
    """Best-of-n gains 0.2, DPO 0.3 and PPO 0.16: all reach 0.16, wherever the line starts."""
    best = [(0.0, 0.5), (0.25, 0.6), (1.0, 0.7)]
    dpo, ppo = [(0.0, 0.5), (0.04, 0.52), (9.0, 0.8)], [(0.0, 0.52), (4.0, 0.68), (5.0, 0.6)]
    found = kl_spent(with_lines(inputs, best, dpo=dpo, ppo=ppo))
    whole, half = found["largest_common"], found["half_of_it"]
    assert (whole.gain, whole.judge_score, whole.best_of_n) == pytest.approx((0.16, 0.66, 0.64))
    assert {name: kl for name, (kl, _) in whole.methods.items()} == pytest.approx({"dpo": 2.56, "ppo": 4.0})
    assert whole.methods["ppo"][1].value == pytest.approx(6.25)
    assert (half.gain, half.best_of_n, half.methods["dpo"][0]) == pytest.approx((0.08, 0.16, 0.64))
    assert set(half.methods) == {"dpo"}, "between SFT and its first checkpoint PPO was measured nowhere"
    # every prompt gains in proportion along every line: whichever are drawn, the ratio is the same
    assert [whole.methods["dpo"][1].low, whole.methods["dpo"][1].high] == pytest.approx([4.0, 4.0], rel=0.02)


def test_each_method_is_measured_at_its_own_largest_gain(inputs):
    """Best-of-n gains 0.3: DPO ends at 0.16 and PPO at 0.24, past DPO's gain on a dear way and cheap at its end."""
    best = [(0.0, 0.5), (0.64, 0.66), (1.44, 0.74), (2.25, 0.8)]
    dpo, ppo = [(0.0, 0.5), (1.28, 0.66)], [(0.0, 0.5), (4.0, 0.66), (2.88, 0.74)]
    given = with_lines(inputs, best, dpo=dpo, ppo=ppo)
    common, own = kl_spent(given)["largest_common"], kl_at_own_gain(given)
    assert {name: ratio.value for name, (_, ratio) in common.methods.items()} == pytest.approx(
        {"dpo": 2.0, "ppo": 6.25}
    )
    assert {name: spent.gain for name, spent in own.items()} == pytest.approx({"dpo": 0.16, "ppo": 0.24})
    assert {name: spent.best_of_n for name, spent in own.items()} == pytest.approx({"dpo": 0.64, "ppo": 1.44})
    assert {name: spent.methods[name][1].value for name, spent in own.items()} == pytest.approx(
        {"dpo": 2.0, "ppo": 2.0}
    )
    row = row_of(given, "KL for its own largest gain")
    assert [cell.split(";")[0] for cell in row.cells] == ["+0.160 for 1.28 (2.0 times", "+0.240 for 2.88 (2.0 times"]


def with_seeds(inputs, name, *lines):
    """The inputs with a method's run as many times, along these lines; a line of fewer points stopped earlier."""
    runs = []
    for seed, line in enumerate(lines):
        run = with_lines(inputs, BEST, **{name: line}).trained[name]
        runs.append(replace(run, seed=seed))
    return replace(inputs, runs={**inputs.runs, name: runs})


def test_several_seeds_are_one_line_and_one_that_stopped_early_stays_what_it_was(inputs):
    given = with_lines(inputs, BEST, ppo=[(0.0, 0.5), (5.0, 0.4)])
    given = with_seeds(given, "dpo", [(0.0, 0.5), (1.0, 0.6), (9.0, 0.9)], [(0.0, 0.5), (3.0, 0.8)])
    means = [(0.0, 0.5), (2.0, 0.7), (6.0, 0.85)]
    assert lines(given)["dpo"] == [pytest.approx(point) for point in means]
    spent = kl_spent(given)["largest_common"]
    assert (spent.gain, spent.methods["dpo"][0]) == pytest.approx((0.2, 2.0))


def test_a_seed_that_stopped_before_the_first_checkpoint_of_the_others_hides_no_cost(inputs):
    """It ends at step 2 of 0, 3 and 7, say; all methods keep their figures."""
    given = with_lines(inputs, BEST, dpo=[(0.0, 0.5), (1.0, 0.6), (3.0, 0.8)])
    whole, early = [(0.0, 0.5), (2.0, 0.7), (4.0, 0.8)], [(0.0, 0.5), (1.0, 0.6)]
    given = with_seeds(given, "ppo", whole, early)
    runs = list(given.runs["ppo"])
    points = [
        point.model_copy(update={"step": at}) for point, at in zip(runs[1].checkpoints.points, (0, 1), strict=True)
    ]
    runs[1] = replace(runs[1], checkpoints=runs[1].checkpoints.model_copy(update={"points": points}))
    given = replace(given, runs={**given.runs, "ppo": runs})
    assert set(kl_spent(given)["largest_common"].methods) == {"dpo", "ppo"}
    assert len(lines(given)["ppo"]) == 4


def test_the_interval_over_seeds_holds_the_true_ratio(inputs):
    """Seeds pay 4 nats on average for what costs best-of-n 1, each with a luck of its own; prompts all say the same."""
    rng, inside, wider, trials = np.random.default_rng(2), 0, 0, 100
    given = with_lines(inputs, BEST, ppo=[(0.0, 0.5), (5.0, 0.4)])
    for _ in range(trials):
        seeds = [[(0.0, 0.5), (kl, 0.7)] for kl in rng.normal(4.0, 0.5, 3)]
        ratio = kl_spent(with_seeds(given, "dpo", *seeds))["largest_common"].methods["dpo"][1]
        inside += ratio.low <= 4.0 <= ratio.high
        wider += ratio.high - ratio.low > 0.1
    assert inside / trials > 0.9
    assert wider == trials


def test_few_checkpoints_do_not_make_a_method_seem_dear(inputs):
    """On the same curve, measured at its end alone, it pays what best-of-n pays."""
    curve = [(kl, 0.5 + 0.2 * kl**0.5) for kl in (0.0, 0.3, 0.8, 1.5)]
    found = kl_spent(with_lines(inputs, curve, dpo=[curve[0], curve[1], curve[3]], ppo=[curve[0], curve[3]]))
    assert found["half_of_it"].methods["dpo"][1].value == pytest.approx(1.0)
    assert "ppo" not in found["half_of_it"].methods
    assert found["largest_common"].methods["ppo"][1].value == pytest.approx(1.0)


def test_a_judge_that_scores_high_has_targets_of_its_own(inputs):
    """Scores of 0.9 and more, and gains of a hundredth: neither 0.65 nor 0.70 says anything of them."""
    small = [(kl, 0.9 + (score - 0.5) / 10) for kl, score in BEST]
    dpo = [(0.0, 0.9), (3.0, 0.92)]
    found = kl_spent(with_lines(inputs, small, dpo=dpo))["largest_common"]
    assert (found.gain, found.judge_score, found.best_of_n) == pytest.approx((0.02, 0.92, 1.0))


def test_a_method_without_a_gain_sets_no_target(inputs):
    flat = [(0.0, 0.5), (5.0, 0.4)]
    found = kl_spent(with_lines(inputs, BEST, dpo=[(0.0, 0.5), (1.0, 0.6), (3.0, 0.8)], ppo=flat))
    assert set(found["largest_common"].methods) == {"dpo"} and found["largest_common"].gain == pytest.approx(0.2)
    rows = [row for row in decide(with_lines(inputs, BEST, ppo=flat)).rows if row.label.startswith("KL for")]
    assert [row.cells[1] for row in rows] == ["no gain beyond chance"] * 3
    past = with_lines(inputs, BEST, dpo=[(0.0, 0.5), (9.0, 0.9)], ppo=flat)
    assert kl_spent(past)["largest_common"].methods == {}, "between SFT and a gain of 0.4 nothing was measured"
    assert [row.cells[0] for row in decide(past).rows[-3:]] == ["no checkpoint before it"] * 3
    ends = with_lines(inputs, BEST, dpo=[(0.0, 0.5), (3.0, 0.8)], ppo=[(0.0, 0.5), (3.0, 0.8)])
    assert decide(ends).rows[-2].cells == ["no checkpoint before it"] * 2
    assert kl_spent(with_lines(inputs, BEST, dpo=flat, ppo=flat)) == {}
    assert kl_spent(with_lines(inputs, [(0.0, 0.5), (1.0, 0.4)], dpo=[(0.0, 0.5), (3.0, 0.8)], ppo=flat)) == {}
    assert "no score that" in decide(with_lines(inputs, BEST, dpo=flat, ppo=flat)).rows[-1].cells[0]


def test_the_interval_of_a_ratio_holds_the_true_one(inputs):
    """Lines of slope 0.2 and 0.1 in the root of KL: a gain costs four times as much, whatever the target is."""
    rng, inside, trials = np.random.default_rng(1), 0, 100
    start = with_lines(inputs, BEST, dpo=[(0.0, 0.5), (0.5, 0.6), (3.0, 0.8)], ppo=[(0.0, 0.5), (3.0, 0.5)])
    for _ in range(trials):
        frontier = [
            point.model_copy(update={"judge_scores": drawn(rng, 0.2 * point.kl_nats_per_sequence**0.5)})
            for point in start.sft.frontier
        ]
        run = start.trained["dpo"]
        points = [
            point.model_copy(
                update={"judge_scores": drawn(rng, 0.1 * kl**0.5), "kl_nats": rng.normal(kl, 0.5, 64).tolist()}
            )
            for point, kl in zip(run.checkpoints.points, (0.0, 0.5, 3.0), strict=True)
        ]
        checkpoints = run.checkpoints.model_copy(update={"points": points})
        given = with_policy(start, replace(run, checkpoints=checkpoints))
        ratio = kl_spent(with_policy(given, replace(given.sft, frontier=frontier)))["largest_common"].methods["dpo"][1]
        assert ratio.low < ratio.value and (ratio.high is None or ratio.value < ratio.high)
        inside += ratio.low <= 4.0 and (ratio.high is None or ratio.high >= 4.0)
    assert inside / trials > 0.9


def drawn(rng, gain):
    return rng.normal(0.5 + gain, 0.2 if gain else 0.0, 64).tolist()


def test_where_resamples_gain_nothing_the_ratio_has_no_upper_end(inputs):
    """Best-of-n gained a thousandth, the prompts spread by a tenth: its curve may as well be flat."""
    given = with_lines(inputs, [(0.0, 0.5), (1.0, 0.501)], dpo=[(0.0, 0.5), (0.1, 0.5005), (3.0, 0.8)])
    last = given.sft.frontier[1]
    noisy = last.model_copy(update={"judge_scores": [0.501 + 0.4 * (-1) ** (at // 2) for at in range(PROMPTS)]})
    given = with_policy(given, replace(given.sft, frontier=[given.sft.frontier[0], noisy]))
    ratio = kl_spent(given)["largest_common"].methods["dpo"][1]
    assert ratio.low == 0.0 and ratio.high is None
    assert any("0.0 or more)" in row.cells[0] for row in decide(given).rows)


def test_comparison_has_the_ratios_with_their_intervals(inputs, write_report_params):
    found = build_comparison(inputs, write_report_params).as_json()["kl_for_judge_score"]
    assert list(found) == ["largest_common", "half_of_it", "largest_of_each"]
    for name in ("dpo", "ppo"):
        own = found["largest_of_each"][name]
        assert set(own) == {"gain", "judge_score", "best_of_n", "kl", "ratio"}
        assert own["gain"] >= found["largest_common"]["gain"]
        assert own["ratio"]["value"] == pytest.approx(own["kl"] / own["best_of_n"])
    row = found["half_of_it"]
    assert set(row) == {"gain", "judge_score", "best_of_n", "dpo", "ppo", "dpo_ratio", "ppo_ratio"}
    assert row["dpo_ratio"]["value"] == pytest.approx(row["dpo"] / row["best_of_n"])
    assert set(row["dpo_ratio"]) == {"value", "low", "high"}


def test_lines_of_other_prompts_are_refused(inputs):
    point = inputs.sft.frontier[1]
    fewer = [one.model_copy(update={"judge_scores": one.judge_scores[:5]}) for one in inputs.sft.frontier]
    assert len(point.judge_scores) == PROMPTS
    with pytest.raises(PipelineError, match=r"frontier.json: scores of 5 prompts.*select_checkpoint@dpo-0"):
        kl_spent(with_policy(inputs, replace(inputs.sft, frontier=fewer)))


def test_lines_start_at_the_sft_policy_and_run_over_the_checkpoints(inputs):
    found = lines(inputs)
    assert found["best_of_n"][0] == (0.0, 0.47) and len(found["best_of_n"]) == 4
    assert found["dpo"][0] == (0.0, 0.47) and found["dpo"][-1] == (5.0, pytest.approx(0.72))
    assert len(found["dpo"]) == 5
