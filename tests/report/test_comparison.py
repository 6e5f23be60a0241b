"""The comparison: stable keys, and a readable table."""

from pipeline.report.comparison import build_comparison, comparison_table
from pipeline.report.verdict import state_verdict
from tests.report.trained_files import load

INTERVALS = {
    "judge_score", "judge_gain", "second_judge_score", "second_judge_gain", "reward_score", "reward_gain",
    "win_rate_vs_sft", "kl_interval", "kl_k3_interval", "eos_interval", "cut_interval",
}  # fmt: skip
POLICY_KEYS = INTERVALS | {
    "length_controlled_win_rate", "length_controlled_interval", "kl_nats_per_sequence", "kl_nats_per_token",
    "kl_k3_nats_per_sequence", "kl_k3_nats_per_token", "perplexity_held_out", "distinct_1", "distinct_2", "distinct_3",
    "self_bleu", "repeated_3grams", "mean_response_tokens", "median_response_tokens", "p90_response_tokens",
    "longest_response_tokens", "eos_rate", "cut_rate", "by_category",
}  # fmt: skip


def test_keys_are_stable(inputs, write_report_params):
    comparison = build_comparison(inputs, write_report_params).as_json()
    assert set(comparison) == {
        "policies", "judges", "pairs", "seeds", "overoptimization", "reward_model", "kl_for_judge_score", "repair",
        "preferences", "flags",
    }  # fmt: skip
    assert list(comparison["policies"]) == ["sft", "dpo", "ppo"]
    for name, entry in comparison["policies"].items():
        trained = {"seed", "selected_step", "last_step", "last", "gains"}
        assert set(entry) == POLICY_KEYS | (trained if name != "sft" else set())
        for key in INTERVALS:
            assert set(entry[key]) == {"mean", "low", "high"}
        equal_length = {"mean": 0.64, "low": 0.49, "high": 0.77} if name != "sft" else None
        assert entry["length_controlled_interval"] == equal_length
        assert [row["category"] for row in entry["by_category"]] == ["glad", "<i>sad</i>"]
    reward_keys = {"accuracy", "longer_wins_accuracy", "initial_loss", "expected_calibration_error"}
    assert set(comparison["reward_model"]) == reward_keys
    assert comparison["preferences"] == {"raw": 560, "accepted": 543, "quarantined": 17}
    assert comparison["flags"] == []


def test_initial_loss_is_the_first_row_of_the_history(inputs, write_report_params):
    expected = inputs.histories["train_reward"][0]["loss"]
    assert build_comparison(inputs, write_report_params).reward_model.initial_loss == expected


def test_table_has_aligned_rows(inputs, write_report_params):
    lines = comparison_table(build_comparison(inputs, write_report_params)).splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["policy", "------", "sft", "dpo", "ppo"]
    assert len({len(line) for line in lines[:5]}) == 1
    assert lines[-1] == "flags: none"


def test_table_names_flags(inputs, write_report_params):
    strict = write_report_params.model_copy(update={"max_kl": 1.0})
    table = comparison_table(build_comparison(inputs, strict))
    assert "dpo: kl_above_budget" in table
    assert max(map(len, table.splitlines())) <= 120


def test_verdict_names_the_winners_with_their_scores(inputs):
    headline = state_verdict(inputs).headline
    best = max(inputs.methods, key=lambda name: inputs.policies[name].metrics.judge_score.mean)
    assert headline.startswith(best.upper())
    assert f"{inputs.sft.metrics.judge_score.mean:.2f}" in headline


def test_verdict_does_not_praise_a_policy_that_changed_nothing(write_reports):
    root = write_reports(["dpo"])
    folder = root / "reports/policies"
    (folder / "dpo/seed-0/samples.jsonl").write_text((folder / "sft/samples.jsonl").read_text())
    assert state_verdict(load(root, ["dpo"])).headline.startswith("DPO does not beat")
