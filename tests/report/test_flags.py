"""Every rule: raised just beyond its limit, quiet just before it."""

import math
from dataclasses import replace

import pytest

from pipeline.report.flags import (
    drift_warnings,
    find_flags,
    gain_warnings,
    preference_warnings,
    reward_model_warnings,
    sampler_warnings,
    training_warnings,
)
from pipeline.results.document import Interval
from pipeline.results.preferences import Cue
from pipeline.results.reward import ExpectedError
from tests.report.trained_files import with_policy, with_scores


def interval(mean: float, half: float = 0.02) -> Interval:
    return Interval(mean=mean, low=mean - half, high=mean + half)


def codes(warnings: list[tuple[str, str]]) -> list[str]:
    return [code for code, _ in warnings]


@pytest.fixture
def sft(inputs):
    return inputs.sft.metrics.model_copy(update={"perplexity_held_out": 40.0, "distinct_2": 0.8})


@pytest.fixture
def good(sft):
    return sft.model_copy(update={"kl_nats_per_sequence": 5.0})


def test_a_good_policy_has_no_warning(good, sft, write_report_params):
    assert drift_warnings(good, sft, write_report_params) == []


@pytest.mark.parametrize(
    ("field", "quiet", "raised", "code"),
    [
        ("kl_nats_per_sequence", 10.0, 10.1, "kl_above_budget"),
        ("perplexity_held_out", 43.9, 44.1, "perplexity_up"),
        ("distinct_2", 0.641, 0.639, "diversity_down"),
    ],
)
def test_limits_of_params(good, sft, write_report_params, field, quiet, raised, code):
    assert codes(drift_warnings(good.model_copy(update={field: quiet}), sft, write_report_params)) == []
    assert codes(drift_warnings(good.model_copy(update={field: raised}), sft, write_report_params)) == [code]


@pytest.mark.parametrize(
    ("change", "noise", "expected"),
    [
        (0.03, 0.02, []),
        (0.03, 0.2, ["no_improvement"]),
        (0.0, 0.0, ["no_improvement"]),
        (-0.03, 0.2, ["no_improvement"]),
        (-0.03, 0.02, ["judge_below_sft"]),
    ],
)
def test_the_judge_score_has_to_rise_beyond_chance(inputs, change, noise, expected):
    given = with_policy(inputs, with_scores(inputs.sft, judge_score=prompts_differ))
    ours = with_scores(
        inputs.trained["dpo"], judge_score=lambda at: prompts_differ(at) + change + noise * (-1) ** (at // 2)
    )
    assert codes(gain_warnings(with_policy(given, ours), "dpo")) == expected


def prompts_differ(at: int) -> float:
    return 0.2 + 0.6 * (at % 2)


def test_chosen_displacement_is_the_mean_of_the_last_steps():
    early_fall = [{"step": 1, "chosen_logps_change": -50.0}] + [{"step": 2, "chosen_logps_change": 0.1}] * 5
    assert training_warnings(early_fall) == []
    late_fall = [{"step": 1, "chosen_logps_change": 50.0}] + [{"step": 2, "chosen_logps_change": -0.1}] * 5
    assert codes(training_warnings(late_fall)) == ["chosen_displaced"]
    # steps of few pairs spread: a mean that is below 0 by chance is none
    noisy = [{"step": step, "chosen_logps_change": change} for step, change in enumerate([3.0, -4.0, 2.5, -3.5, 1.0])]
    assert training_warnings(noisy) == []
    assert training_warnings([{"step": step, "chosen_logps_change": -0.01} for step in range(5)]) == []


def test_ratio():
    assert training_warnings([{"step": 1, "ratio_max": 5.0}, {"step": 2, "ratio_max": 1.0}]) == []
    assert codes(training_warnings([{"step": 1, "ratio_max": 5.1}, {"step": 2, "ratio_max": 1.0}])) == [
        "ratio_too_large"
    ]


def test_tokens_of_another_sampler(inputs, write_report_params):
    history = [{"step": 1, "sampler_kl": 0.005}, {"step": 2, "sampler_kl": 0.02}, {"step": 3, "sampler_kl": 0.006}]
    assert sampler_warnings(history[:1], 0.005) == sampler_warnings([{"step": 1}], 0.005) == []
    assert sampler_warnings(history, None) == []
    ((code, message),) = sampler_warnings(history, 0.005)
    assert code == "sampler_off_policy"
    assert "2 of 3 rollouts is up to 0.02 nats a token" in message and "importance_truncation" in message
    run = replace(inputs.trained["ppo"], history=[*inputs.trained["ppo"].history, *history[1:]])
    (flag,) = [one for one in find_flags(with_policy(inputs, run), write_report_params) if one.code == code]
    assert flag.policy == "ppo"


@pytest.mark.parametrize(
    ("accuracy", "half", "raised"),
    [(0.79, 0.06, False), (0.57, 0.06, True), (0.53, 0.005, True), (0.40, 0.01, True)],
)
def test_accuracy_against_the_length_rule(inputs, accuracy, half, raised):
    metrics = inputs.reward_metrics.model_copy(update={"accuracy": interval(accuracy, half)})
    expected = ["accuracy_near_length_rule"] if raised else []
    assert codes(reward_model_warnings(reward_model(inputs, [{"loss": math.log(2)}], metrics))) == expected


def test_accuracy_against_the_rule_that_the_shorter_wins(inputs):
    metrics = inputs.reward_metrics.model_copy(update={"accuracy": interval(0.7, 0.03), "longer_wins_accuracy": 0.25})
    ((code, message),) = reward_model_warnings(reward_model(inputs, [], metrics))
    assert code == "accuracy_near_length_rule" and "0.750 of the rule that the shorter response wins" in message


@pytest.mark.parametrize(("loss", "raised"), [(0.69, False), (0.88, False), (0.90, True), (0.48, True)])
def test_initial_loss(inputs, loss, raised):
    given = reward_model(inputs, [{"loss": loss}])
    assert codes(reward_model_warnings(given)) == ["initial_loss_off"] * raised
    # margins and centering move the first loss of a head that knows nothing
    assert codes(reward_model_warnings(replace(given, plain_reward_loss=False))) == []


@pytest.mark.parametrize(
    ("error", "by_chance", "raised"),
    [(0.1, 0.05, False), (0.11, 0.05, True), (0.11, 0.11, False), (0.2, 0.21, False), (0.22, 0.21, True)],
)
def test_calibration_is_flagged_above_the_limit_and_beyond_chance(inputs, error, by_chance, raised):
    chance = ExpectedError(mean=by_chance / 2, high=by_chance)
    temperature = inputs.reward_metrics.calibration.model_copy(update={"expected_if_calibrated": chance})
    update = {"expected_calibration_error": error, "calibration": temperature}
    given = reward_model(inputs, [{"loss": math.log(2)}], inputs.reward_metrics.model_copy(update=update))
    warnings = reward_model_warnings(given)
    assert codes(warnings) == ["poorly_calibrated"] * raised
    assert not raised or f"{by_chance:.3f}, which 1 of 20 calibrated models exceeds on 160 pairs" in warnings[0][1]


@pytest.mark.parametrize(("quarantined", "raised"), [(5, False), (6, True)])
def test_quarantine(inputs, quarantined, raised):
    update = {"raw": 100, "quarantined": quarantined, "quarantined_by_reason": {"duplicate_pair": quarantined}}
    warnings = preference_warnings(with_document(inputs, "preferences", update))
    assert codes(warnings) == ["much_quarantined"] * raised
    assert not raised or "duplicate_pair" in warnings[0][1]


def with_document(inputs, name, update):
    return replace(inputs, **{name: getattr(inputs, name).model_copy(update=update)})


@pytest.mark.parametrize(
    ("low", "high", "pairs", "raised"),
    [(0.86, 0.97, 60, True), (0.84, 0.97, 60, False), (0.02, 0.14, 60, True), (0.02, 0.16, 60, False),
     (0.86, 0.97, 54, False)],
)  # fmt: skip
def test_a_word_that_tells_the_label(inputs, low, high, pairs, raised):
    cue = Cue(kind="word", cue="great", pairs=pairs, chosen_share=0.9, low=low, high=high)
    found = preference_warnings(with_document(inputs, "preference_details", {"cues": [cue]}))
    assert codes(found) == ["shortcut_word"] * raised


@pytest.mark.parametrize(("share", "raised"), [(0.65, False), (0.66, True), (0.34, True), (0.36, False)])
def test_length_bias(inputs, share, raised):
    found = preference_warnings(with_document(inputs, "preferences", {"chosen_longer_share": share}))
    assert codes(found) == ["length_bias"] * raised
    assert not raised or ("shorter" if share < 0.5 else "longer") in found[0][1]


@pytest.mark.parametrize(("alpha", "raised"), [(0.4, False), (0.39, True), (None, False)])
def test_agreement(inputs, alpha, raised):
    votes = inputs.sources.votes.model_copy(update={"krippendorff_alpha": alpha})
    assert (
        codes(preference_warnings(with_document(inputs, "sources", {"votes": votes}))) == ["little_agreement"] * raised
    )


@pytest.mark.parametrize(
    ("share", "decided", "raised"), [(0.56, 900, True), (0.549, 900, False), (0.6, 100, False), (0.4, 400, True)]
)
def test_position_bias(inputs, share, decided, raised):
    votes = inputs.sources.votes.model_copy(update={"first_shown_wins": share, "decided_votes": decided})
    assert codes(preference_warnings(with_document(inputs, "sources", {"votes": votes}))) == ["position_bias"] * raised


def test_flags_name_their_policy_or_subject(inputs, write_report_params):
    strict = write_report_params.model_copy(update={"max_kl": 0.5})
    object.__setattr__(inputs, "preferences", inputs.preferences.model_copy(update={"quarantined": 200}))
    flags = find_flags(inputs, strict)
    assert [(flag.policy, flag.subject) for flag in flags] == [
        ("dpo", None),
        ("ppo", None),
        (None, "preferences"),
    ]
    assert all(flag.message.endswith(".") for flag in flags)


def test_a_loss_that_does_not_fall(inputs):
    falling = [{"loss": 0.69 - 0.02 * step} for step in range(20)]
    assert codes(reward_model_warnings(reward_model(inputs, falling))) == []
    assert codes(reward_model_warnings(reward_model(inputs, [{"loss": 0.69}] * 20))) == ["loss_flat"]


def test_a_reward_model_that_was_not_trained_here_has_no_loss_to_judge(inputs):
    assert codes(reward_model_warnings(reward_model(inputs, [{"step": 0, "training_pairs_loss": 3.0}]))) == []


def reward_model(inputs, history, metrics=None):
    """The report's inputs with another training of the reward model, and other metrics of it."""
    histories = {**inputs.stage_histories, "train_reward": history}
    return replace(inputs, stage_histories=histories, reward_metrics=metrics or inputs.reward_metrics)
