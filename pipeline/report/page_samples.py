"""Continuations of a few prompts by every policy, side by side."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.formats import number
from pipeline.report.inputs import ReportInputs
from pipeline.results.policies import Sample

# What HTML cannot carry: control characters other than tab and newline, and halves of surrogate pairs.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Continuation:
    """What one policy wrote, with its scores as text."""

    policy: str
    text: str
    ended: bool
    judge_score: str
    reward_score: str
    kl_nats: str
    best: bool


@dataclass(frozen=True)
class PromptSamples:
    """One prompt and its continuations in the order of the policies."""

    id: str
    """Id of the prompt's record, by which the audit finds it."""
    prompt: str
    continuations: Sequence[Continuation]


def sampled_prompts(inputs: ReportInputs, count: int) -> list[PromptSamples]:
    """`count` prompts at even distances in the evaluation set, so that nobody picked them by their result."""
    total = len(inputs.sft.samples)
    shown = [position * total // min(count, total) for position in range(min(count, total))]
    return [_prompt_samples(inputs, index) for index in shown]


def printable(text: str) -> str:
    """The text with characters that HTML cannot carry replaced by U+FFFD; escaping is the template's work."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _prompt_samples(inputs: ReportInputs, index: int) -> PromptSamples:
    samples = {name: policy.samples[index] for name, policy in inputs.policies.items()}
    highest = max(sample.judge_score for sample in samples.values())
    continuations = [_continuation(name, sample, highest) for name, sample in samples.items()]
    sample = inputs.sft.samples[index]
    return PromptSamples(sample.id, printable(sample.prompt), continuations)


def _continuation(name: str, sample: Sample, highest: float) -> Continuation:
    return Continuation(
        policy=name,
        text=printable(sample.response).strip(),
        ended=sample.ended,
        judge_score=number(sample.judge_score, 2),
        reward_score=number(sample.reward_score, 2),
        kl_nats=number(sample.kl_nats, 1),
        best=sample.judge_score == highest,
    )
