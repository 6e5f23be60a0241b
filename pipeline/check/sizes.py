"""Whether each split is large enough for what it is used for."""

import math

from pipeline.check.findings import Findings
from pipeline.check.settings import Settings
from pipeline.check.sft import is_trained
from pipeline.check.shares import count_prompts, report_short_splits
from pipeline.check.sources import ReadData
from pipeline.data.leakage import advise_of_leaks
from pipeline.data.splits import SPLITS

_SPARE = 1.5
"""Prompts for each needed pair; with fewer, ties may leave too few pairs."""
_USEFUL = 50
"""Prompts or pairs of a split; with fewer, an interval says little."""


def check_sizes(data: ReadData, settings: Settings, findings: Findings) -> bool:
    """Check that the stages get enough prompts, texts and labels; False where there are too few prompts to split."""
    prompts = {split: data.estimate(len(rows)) for split, rows in data.prepared.prompts.items()}
    empty = [split for split, count in prompts.items() if not count]
    if empty and data.prepared.different_prompts < len(SPLITS):
        _say_that_prompts_are_few(data.prepared.different_prompts, empty, findings)
        return False
    for split in empty:
        advice = advise_of_leaks(data.prepared.counts, split)
        said = f"no prompt is left for {split}. Add rows, or give it a larger share.{advice}"
        findings.error(said, "data.leakage.threshold" if advice else f"data.splits.{split}")
    _check_source(data, settings, findings)
    _check_judge_labels(data, settings, findings)
    if settings.collect.source == "sampled":
        _check_enough_for_pairs(data, prompts, settings, findings)
    measured = {
        "evaluation": ("a win rate", prompts["evaluation"]),
        "test": ("the reward model's accuracy", prompts["test"]),
    }
    for split, (what, count) in measured.items():
        if 0 < count < _USEFUL:
            findings.warning(
                f"{count} prompts for {split}: {what} of 0.7 is known to within {_half_width(0.7, count):.2f} only."
                f"{advise_of_leaks(data.prepared.counts, split)}",
                f"data.splits.{split}",
            )
    _check_batches(data, prompts["train"], settings, findings)
    return True


def _say_that_prompts_are_few(count: int, empty: list[str], findings: Findings) -> None:
    said = "there is one prompt in all rows, and a prompt lies in one split with all of its rows"
    if count > 1:
        said = f"there are {count} different prompts in all rows, and each lies in one split with all of its rows"
    findings.error(f"{said}: none is left for {', '.join(empty)}. Add rows with other prompts.", "data.source")


def _half_width(share: float, count: int) -> float:
    return 1.96 * math.sqrt(share * (1 - share) / count)


def _check_source(data: ReadData, settings: Settings, findings: Findings) -> None:
    pairs = len(data.prepared.paired)
    if settings.collect.source == "given" and not pairs:
        findings.error(
            "collect_preferences.source is given, and the sources hold no pairs in the form in which they were read "
            "(see the table).",
            "data.format",
        )
    elif settings.collect.source == "sampled" and pairs:
        findings.warning(
            f"the sources hold {data.count(pairs)} preferences that serve as labels of the judge alone: policies are "
            "trained on samples that it ranks.",
            "collect_preferences.source",
            "given",
        )
    if data.prepared.prompts["train"] and not data.prepared.texts["train"]:
        findings.warning(
            "the sources have prompts alone: the policy goes on without SFT, and no held-out perplexity is measured.",
            "data.source",
        )


def _check_judge_labels(data: ReadData, settings: Settings, findings: Findings) -> None:
    labels = data.prepared.labels
    if settings.judge_kind == "classifier" and not all(labels.values()):
        findings.error(
            f"the judge is a classifier, which is fitted on human labels, and the sources have {len(labels['train'])} "
            f"to fit it and {len(labels['test'])} to measure it.",
            "judge.kind",
            "chat",
        )


def _check_enough_for_pairs(data: ReadData, prompts: dict[str, int], settings: Settings, findings: Findings) -> None:
    """Check that enough prompts give a pair: each gives one at most, and none where its samples tie."""
    need = settings.contract.min_pairs
    if data.whole == 1 and all(prompts.values()):
        report_short_splits(data, settings, findings, what="prompts, each of one pair at most", count=count_prompts)
    for split in ("train", "validation", "test"):
        if need <= prompts[split] < _SPARE * need:
            findings.warning(
                f"{prompts[split]} prompts for {split} give {need} pairs (validate_preferences.min_pairs) only where "
                "few are ties: a prompt whose samples are alike gives none.",
                f"data.splits.{split}",
            )


def _check_batches(data: ReadData, prompts: int, settings: Settings, findings: Findings) -> None:
    texts = data.estimate(len(data.prepared.texts["train"]))
    pairs = data.estimate(sum(split == "train" for split, _ in data.prepared.paired))
    pairs = pairs if settings.collect.source == "given" else prompts
    sizes = settings.trainings
    trainers = [("train_reward", pairs, sizes.reward.step)]
    trainers = [("train_sft", texts, sizes.sft.step), *trainers] if is_trained(data, settings) else trainers
    trainers += [("optimize.dpo", pairs, sizes.dpo.step)] if "dpo" in settings.methods else []
    for section, examples, batch in trainers:
        if 0 < examples < batch:
            findings.warning(
                f"{examples} examples are fewer than one optimiser step of {section} takes ({batch}).",
                f"{section}.per_device_train_batch_size",
            )
    different = sizes.ppo.rollout_batch_size // sizes.ppo.samples_per_prompt
    if {"ppo", "hybrid"} & set(settings.methods) and 0 < prompts < different:
        findings.warning(
            f"a rollout of PPO takes {different} different prompts, and {prompts} are trained on: each "
            "comes several times in one rollout.",
            "optimize.ppo.rollout_batch_size",
        )
