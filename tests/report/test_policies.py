"""The table of policies, and the one of categories: what the cells say, and when they are marked."""

import pytest

from pipeline.report.page_categories import category_rows
from pipeline.report.page_policies import comparison_rows, gain_tone
from pipeline.report.pairs import gain
from pipeline.results.document import Interval
from tests.report.trained_files import with_metrics, with_policy, with_scores

SAD = "<i>sad</i>"


def row_of(inputs, params, label):
    return next(row for row in comparison_rows(inputs, params) if row.label == label)


def changed(inputs, name, **update):
    """The inputs with other metrics of one policy."""
    return with_policy(inputs, with_metrics(inputs.policies[name], **update))


def test_the_main_rows_stand_first_from_gain_to_price(inputs, write_report_params):
    rows = comparison_rows(inputs, write_report_params)
    main = [row.label for row in rows if row.main]
    assert main == [row.label for row in rows[: len(main)]] and len(main) < len(rows)
    assert main[0] == "Judge score" and "KL from SFT" in main
    assert all(len(row.cells) == 3 for row in rows)


def test_the_win_rate_at_equal_length_says_what_length_gave(inputs, write_report_params):
    win, equal = Interval(mean=0.7, low=0.6, high=0.8), Interval(mean=0.61, low=0.48, high=0.72)
    given = changed(
        inputs, "dpo", win_rate_vs_sft=win, length_controlled_win_rate=0.61, length_controlled_interval=equal
    )
    given = changed(given, "ppo", length_controlled_win_rate=None, length_controlled_interval=None)
    sft, dpo, ppo = row_of(given, write_report_params, "Win rate at equal length").cells
    assert dpo.value == "61\N{NO-BREAK SPACE}%"
    assert dpo.detail.replace("\N{NO-BREAK SPACE}", " ") == "48 % to 72 %; \N{MINUS SIGN}9 points"
    assert dpo.bar is not None and dpo.bar.left < dpo.bar.mean < dpo.bar.left + dpo.bar.width
    assert sft.value == ppo.value == "–" and ppo.detail.startswith("too few") and ppo.bar is None
    given = changed(given, "dpo", length_controlled_win_rate=None, length_controlled_interval=None)
    assert [cell.value for cell in row_of(given, write_report_params, "Win rate at equal length").cells] == ["–"] * 3


@pytest.mark.parametrize(
    ("low", "high", "tone"),
    [(0.51, 0.8, "better"), (0.5, 0.8, "same"), (0.3, 0.7, "same"), (0.2, 0.5, "same"), (0.2, 0.49, "worse")],
)
def test_a_win_rate_at_equal_length_is_marked_on_one_side_of_a_half(inputs, write_report_params, low, high, tone):
    share = Interval(mean=(low + high) / 2, low=low, high=high)
    given = changed(inputs, "dpo", length_controlled_win_rate=share.mean, length_controlled_interval=share)
    assert gain_tone(gain(given, "dpo")) == "better"
    assert row_of(given, write_report_params, "Win rate at equal length").cells[1].tone == tone


def test_a_gain_that_may_be_chance_is_no_better_at_equal_length(inputs, write_report_params):
    share = Interval(mean=0.7, low=0.6, high=0.8)
    given = changed(inputs, "dpo", length_controlled_win_rate=0.7, length_controlled_interval=share)
    noisy = with_scores(given.policies["dpo"], judge_score=lambda at: 0.25 + 0.5 * (at % 2))
    given = with_policy(given, noisy)
    assert gain_tone(gain(given, "dpo")) == "same"
    assert row_of(given, write_report_params, "Win rate at equal length").cells[1].tone == "same"


def test_kl_by_k3_is_per_sequence_and_per_token(inputs, write_report_params):
    given = changed(inputs, "dpo", kl_k3_nats_per_sequence=2.5, kl_k3_nats_per_token=0.125)
    assert row_of(given, write_report_params, "KL, k3 estimate").cells[1].value == "2.50"
    assert row_of(given, write_report_params, "KL, k3 estimate").cells[1].detail == "0.125 per token"


def test_lengths_and_likeness(inputs, write_report_params):
    given = changed(
        inputs, "ppo", mean_response_tokens=20.25, median_response_tokens=19.0, p90_response_tokens=31.6, eos_rate=0.75,
        cut_rate=0.25, eos_interval=Interval(mean=0.75, low=0.6, high=0.86),
        cut_interval=Interval(mean=0.25, low=0.14, high=0.4), self_bleu=None, repeated_3grams=0.0123,
    )  # fmt: skip
    length, end, likeness, repetition = (
        row_of(given, write_report_params, label).cells[2]
        for label in ("Response length", "Ended by itself", "Self-BLEU", "Repetition")
    )
    assert (length.value, length.detail) == ("20.2", "median 19, 90 %: 32")
    assert end.value == "75\N{NO-BREAK SPACE}%"
    assert end.detail.replace("\N{NO-BREAK SPACE}", " ") == "60 % to 86 %; 25 % cut, 14 % to 40 %"
    assert likeness.value == "–" and repetition.value == "1.2\N{NO-BREAK SPACE}%"


@pytest.mark.parametrize(
    ("low", "high", "tone"), [(0.01, 0.2, "better"), (-0.2, -0.01, "worse"), (-0.2, 0.1, "same"), (0.0, 0.1, "same")]
)
def test_a_change_is_marked_where_its_interval_excludes_0(low, high, tone):
    assert gain_tone(Interval(mean=(low + high) / 2, low=low, high=high)) == tone


def category(inputs, name, kind, gain):
    """A row of a policy's categories with this change against SFT."""
    row = next(row for row in inputs.policies[name].metrics.by_category if row.category == kind)
    return row.model_copy(update={"judge_gain": Interval(mean=gain, low=gain - 0.05, high=gain + 0.05)})


def test_every_category_has_a_row_behind_all_prompts(inputs):
    given = changed(inputs, "ppo", by_category=[category(inputs, "ppo", SAD, -0.1)])
    given = changed(given, "dpo", by_category=[category(inputs, "dpo", kind, 0.1) for kind in (SAD, "glad")])
    everything, glad, sad = category_rows(given)
    assert [(row.category, row.prompts) for row in (everything, glad, sad)] == [
        ("All", 48), ("glad", 24), (SAD, 24),
    ]  # fmt: skip
    assert sad.cells[2].tone == "worse" and sad.cells[2].detail.startswith("\N{MINUS SIGN}0.100")
    assert glad.cells[1].tone == "better" and glad.cells[1].detail == "+0.100 (+0.050 to +0.150)"
    assert glad.cells[2].value == "–" and glad.cells[0].tone == "same"


def test_a_category_of_too_few_prompts_says_so_and_is_not_marked(inputs):
    row = category(inputs, "dpo", SAD, 0.4)
    unknown = {"judge_score": Interval(mean=0.9, low=0, high=1), "judge_gain": Interval(mean=0.4, low=-1, high=1)}
    given = changed(inputs, "dpo", by_category=[row.model_copy(update=unknown)])
    cell = next(row for row in category_rows(given) if row.category == SAD).cells[1]
    assert (cell.value, cell.detail, cell.tone) == ("0.900", "+0.400 (range not known: too few prompts)", "same")


def test_one_category_needs_no_table(inputs):
    assert category_rows(changed(inputs, "sft", by_category=[])) == []
