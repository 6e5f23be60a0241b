"""Rules that turn numbers into warnings: what was seen, what it means, what to try."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from scipy.special import stdtrit

from pipeline.evaluation.statistics import wilson_interval
from pipeline.params.schema import WriteReport
from pipeline.report.formats import signed
from pipeline.report.hacking import find_examples, hacking_message, peak_message
from pipeline.report.inputs import HistoryRow, ReportInputs, TrainedPolicy
from pipeline.report.judges import confirmation_warnings, judge_warnings
from pipeline.report.limits import distinct_ratio, loses_diversity, perplexity_ratio, unlearns_language
from pipeline.report.pairs import gain, over_words
from pipeline.report.palette import policy_label
from pipeline.report.seeds import SeedTable, seed_tables
from pipeline.results.comparison import Flag
from pipeline.results.policies import PolicyMetrics
from pipeline.results.preferences import PreferenceDetails, PreferenceSummary, VoteSummary
from pipeline.training.loss_checks import flat_loss_problem, initial_loss_problem
from pipeline.training.sampler_check import sampler_problem

MAX_CALIBRATION_ERROR = 0.1
MIN_ACCURACY_LEAD = 0.02
MAX_RATIO = 5.0
MAX_QUARANTINED_SHARE = 0.05
MAX_CUE_ACCURACY = 0.85
MIN_CUE_SHARE = 0.1
MAX_LENGTH_RULE = 0.65
MIN_ALPHA = 0.4
MIN_POSITION_BIAS = 0.05
LAST_STEPS = 5
MIN_DISPLACEMENT = 0.05


def find_flags(inputs: ReportInputs, params: WriteReport) -> list[Flag]:
    """All warnings: policies first, in their order, then the judges, the reward model and the preferences."""
    flags: list[Flag] = []
    tables = seed_tables(inputs, params)
    for name, run in inputs.trained.items():
        about_gain = gain_warnings(inputs, name) + confirmation_warnings(inputs, name)
        flags += [Flag(policy=name, code=code, message=message) for code, message in about_gain]
        warnings = drift_warnings(run.metrics, inputs.sft.metrics, params)
        warnings += training_warnings(run.history)
        warnings += sampler_warnings(run.history, inputs.max_sampler_kl.get(name))
        flags += [_about(inputs, run, code, message) for code, message in warnings]
        for one in inputs.runs[name]:
            flags += _course_flags(inputs, one, params)
        flags += _collapse_flags(inputs, tables.get(name))
    instruments = {
        "judge": judge_warnings(inputs),
        "reward_model": reward_model_warnings(inputs),
        "preferences": preference_warnings(inputs),
    }
    for subject, warnings in instruments.items():
        flags += [Flag(subject=subject, code=code, message=message) for code, message in warnings]
    return flags


def _about(inputs: ReportInputs, run: TrainedPolicy, code: str, message: str) -> Flag:
    return Flag(policy=run.name, code=code, message=message, seed=run.seed if len(inputs.seeds) > 1 else None)


def _course_flags(inputs: ReportInputs, run: TrainedPolicy, params: WriteReport) -> list[Flag]:
    """How one run went: reward hacking with its examples, and a peak of the judge before the end."""
    found = []
    if (message := hacking_message(run, inputs.sft, params)) is not None:
        flag = _about(inputs, run, "reward_hacking", message)
        found.append(flag.model_copy(update={"examples": find_examples(run, inputs.sft)}))
    if (message := peak_message(run)) is not None:
        found.append(_about(inputs, run, "peak_passed", message))
    return found


def _collapse_flags(inputs: ReportInputs, table: SeedTable | None) -> list[Flag]:
    found = []
    for row in table.runs if table else ():
        if row.collapsed:
            seen = f"Seed {row.run.seed} of {policy_label(row.run.name)} collapsed: {', '.join(row.collapsed)}"
            advice = "The method is not stable with these settings. Lower the learning rate, or raise kl_coef or beta"
            found.append(_about(inputs, row.run, "seed_collapsed", f"{seen}. {advice}."))
    return found


def gain_warnings(inputs: ReportInputs, name: str) -> list[tuple[str, str]]:
    """Codes and messages about a method whose judge score did not rise beyond chance, over all of its seeds."""
    change = gain(inputs, name)
    if change.rose:
        return []
    ends = f"[{signed(change.low, 3)}, {signed(change.high, 3)}]"
    seen = f"The judge score changed by {signed(change.mean, 3)} {ends} against SFT, "
    seen += f"prompt by prompt {over_words(inputs)}"
    if change.fell:
        advice = "The policy got worse. Lower the learning rate, train for fewer steps, and check the reward model."
        return [("judge_below_sft", f"{seen}: a fall beyond chance. {advice}")]
    more = "train more seeds, or evaluate on more prompts" if len(inputs.seeds) > 1 else "or evaluate on more prompts"
    advice = f"There is no evidence of an improvement. Train longer, {more}."
    return [("no_improvement", f"{seen}: the interval includes 0. {advice}")]


def drift_warnings(policy: PolicyMetrics, sft: PolicyMetrics, params: WriteReport) -> list[tuple[str, str]]:
    """Codes and messages about how far an aligned policy went from the SFT policy it started from."""
    warnings = []
    if policy.kl_nats_per_sequence > params.max_kl:
        seen = f"KL {policy.kl_nats_per_sequence:.1f} nats per sequence exceeds {params.max_kl:g}"
        advice = "The policy is far from SFT, where the reward model was not trained. Raise kl_coef or beta"
        warnings.append(("kl_above_budget", f"{seen}. {advice}, lower the learning rate, or stop earlier."))
    if unlearns_language(policy, sft, params):
        seen = f"Perplexity on held-out text is {perplexity_ratio(policy, sft):.2f} times SFT's"
        advice = "The policy unlearns ordinary language. Stop earlier or lower the learning rate"
        warnings.append(("perplexity_up", f"{seen}, more than {params.max_perplexity_ratio:g}. {advice}."))
    if loses_diversity(policy, sft, params):
        seen = f"Distinct-2 fell to {distinct_ratio(policy.distinct_2, sft.distinct_2):.2f} times SFT's"
        advice = "Continuations repeat the same phrases (mode collapse). Raise kl_coef or beta, or stop earlier"
        warnings.append(("diversity_down", f"{seen}, less than {params.min_distinct_ratio:g}. {advice}."))
    return warnings


def training_warnings(history: Sequence[HistoryRow]) -> list[tuple[str, str]]:
    """Codes and messages about how a method trained, from whichever of the known metrics its history has."""
    warnings = []
    changes = [row["chosen_logps_change"] for row in history if "chosen_logps_change" in row]
    changes = changes[-max(LAST_STEPS, len(changes) // 4) :]
    if changes and (change := fmean(changes)) < -MIN_DISPLACEMENT and change + _uncertainty(changes) < 0:
        seen = f"The log-prob of chosen responses fell by {-change:.1f} nats (mean of the last {len(changes)} steps)"
        meaning = "The loss falls because rejected responses fall faster, and probability goes to text nobody ranked"
        advice = "Raise beta, train less, or run more SFT on chosen responses first"
        warnings.append(("chosen_displaced", f"{seen}. {meaning}. {advice}."))
    largest = max((row["ratio_max"] for row in history if "ratio_max" in row), default=0.0)
    if largest > MAX_RATIO:
        seen = f"A token became {largest:.1f} times as probable within one update, more than {MAX_RATIO:g}"
        advice = "Updates are too large. Lower the learning rate, num_ppo_epochs or target_kl_per_update"
        warnings.append(("ratio_too_large", f"{seen}. {advice}."))
    return warnings


def _uncertainty(values: Sequence[float]) -> float:
    """Half the width of the 95 % interval of their mean, by Student's t."""
    count = len(values)
    return float(stdtrit(count - 1, 0.975)) * stdev(values) / count**0.5 if count > 1 else math.inf


def sampler_warnings(history: Sequence[HistoryRow], limit: float | None) -> list[tuple[str, str]]:
    """Code and message where tokens were not drawn from the policy; nothing for methods that do not sample."""
    kls = [row["sampler_kl"] for row in history if "sampler_kl" in row]
    problem = sampler_problem(kls, limit) if limit is not None else None
    return [] if problem is None else [("sampler_off_policy", problem)]


def reward_model_warnings(inputs: ReportInputs) -> list[tuple[str, str]]:
    """Codes and messages about the reward model; its history has no losses when it was not trained here."""
    metrics, history, warnings = inputs.reward_metrics, inputs.histories["train_reward"], []
    accuracy, longer = metrics.accuracy, max(metrics.longer_wins_accuracy, 1 - metrics.longer_wins_accuracy)
    if accuracy.low <= longer or accuracy.mean < longer + MIN_ACCURACY_LEAD:
        side = "longer" if metrics.longer_wins_accuracy >= 0.5 else "shorter"
        seen = f"Accuracy {accuracy.mean:.3f} [{accuracy.low:.3f}, {accuracy.high:.3f}] is not clearly above the "
        rule = f"{longer:.3f} of the rule that the {side} response wins"
        advice = "It may have learned length alone. Collect more pairs, balance their lengths, or train longer"
        warnings.append(("accuracy_near_length_rule", f"{seen}{rule}. {advice}."))
    losses = [row["loss"] for row in history if "loss" in row]
    if losses and inputs.plain_reward_loss and (problem := initial_loss_problem(losses[0])):
        warnings.append(("initial_loss_off", problem))
    if problem := flat_loss_problem(losses):
        warnings.append(("loss_flat", problem))
    error, chance = metrics.expected_calibration_error, metrics.calibration.expected_if_calibrated
    if error > MAX_CALIBRATION_ERROR and error > chance.high:
        seen = f"Expected calibration error {error:.3f} exceeds {MAX_CALIBRATION_ERROR:g}, and also {chance.high:.3f}, "
        seen += f"which 1 of 20 calibrated models exceeds on {metrics.pairs} pairs"
        advice = "Score differences misstate how sure it is. Train for fewer epochs, or use label_smoothing"
        warnings.append(("poorly_calibrated", f"{seen}. {advice}."))
    if metrics.robustness.exceeds_limit:
        seen = f"Scores of the same text move by up to {metrics.robustness.max_deviation:.3g} with batch and padding"
        advice = "The model reads padding. Use a float32 copy, or another model"
        warnings.append(("unstable_scores", f"{seen}. {advice}."))
    return warnings


def preference_warnings(inputs: ReportInputs) -> list[tuple[str, str]]:
    """Codes and messages about the preference data."""
    return [
        *_quarantine_warnings(inputs.preferences),
        *_shortcut_warnings(inputs.preferences, inputs.preference_details),
        *_vote_warnings(inputs.sources.votes or inputs.preference_details.votes),
    ]


def _quarantine_warnings(summary: PreferenceSummary) -> list[tuple[str, str]]:
    share = summary.quarantined / summary.raw if summary.raw else 0.0
    if share <= MAX_QUARANTINED_SHARE:
        return []
    reason = max(summary.quarantined_by_reason.items(), key=lambda item: (item[1], item[0]), default=("unknown", 0))
    seen = f"{share:.1%} of the raw pairs were quarantined, most often for {reason[0]} ({reason[1]})"
    advice = "Look at artifacts/preferences/quarantine.jsonl: the source of the pairs needs repair, not the filter"
    return [("much_quarantined", f"{seen}. {advice}.")]


def _shortcut_warnings(summary: PreferenceSummary, details: PreferenceDetails) -> list[tuple[str, str]]:
    warnings = []
    for cue in details.cues:
        strength = max(cue.low, 1 - cue.high)
        if strength > MAX_CUE_ACCURACY and cue.pairs > MIN_CUE_SHARE * details.measured_pairs:
            where = "with it as the first word" if cue.kind == "first_word" else "with it"
            chosen = f"the one {where} was chosen in {cue.chosen_share:.0%}"
            seen = f'"{cue.cue}" is in one response of {cue.pairs} pairs, and {chosen}'
            advice = "If that is not what you meant to teach, balance the pairs: the reward model will learn it"
            warnings.append(("shortcut_word", f"{seen}. {advice}."))
    longer = max(summary.chosen_longer_share, 1 - summary.chosen_longer_share)
    if longer > MAX_LENGTH_RULE and wilson_interval(longer * summary.accepted, summary.accepted).low > 0.5:
        rule = "longer" if summary.chosen_longer_share > 0.5 else "shorter"
        seen = f"The {rule} response was chosen in {longer:.0%} of the pairs"
        advice = "A reward model can win by length alone. Look at its length-matched accuracy, or balance the pairs"
        warnings.append(("length_bias", f"{seen}. {advice}."))
    return warnings


def _vote_warnings(votes: VoteSummary | None) -> list[tuple[str, str]]:
    warnings = []
    if votes and votes.krippendorff_alpha is not None and votes.krippendorff_alpha < MIN_ALPHA:
        seen = f"Annotators agree little: Krippendorff's alpha is {votes.krippendorff_alpha:.2f}, below {MIN_ALPHA:g}"
        advice = "No reward model can be better than its labels. Sharpen the guideline, or keep clear pairs only"
        warnings.append(("little_agreement", f"{seen}. {advice}."))
    if votes and votes.first_shown_wins is not None:
        # three standard errors of a fair coin
        noise = 1.5 / votes.decided_votes**0.5
        if abs(votes.first_shown_wins - 0.5) > max(noise, MIN_POSITION_BIAS):
            seen = f"The response shown first won {votes.first_shown_wins:.0%} of {votes.decided_votes} decided votes"
            advice = "Show each pair in random order, or in both"
            warnings.append(("position_bias", f"{seen}. {advice}."))
    return warnings
