"""What the metrics of a policy were measured with: only runs that were measured alike are comparable."""

from collections.abc import Mapping
from dataclasses import dataclass

JUDGE = "artifacts/evaluation_judge"
"""The judge that measures policies."""
SFT = "artifacts/sft"
"""The policy against which KL and win rate are measured."""
SFT_SAMPLES = "reports/policies/sft/samples.jsonl"
"""The responses with which a comparing judge compares those of other policies."""
REWARD_MODEL = "artifacts/inputs/ppo/reward_model"
HELD_OUT_TEXTS = "artifacts/data/texts/evaluation.jsonl"

_TEMPERATURE, _LENGTH, _JUDGE_KIND = "sampling.temperature", "sampling.max_new_tokens", "judge.kind"
_NAMES = {
    JUDGE: "judge",
    SFT: "SFT policy",
    SFT_SAMPLES: "set of SFT samples",
    REWARD_MODEL: "reward model",
    HELD_OUT_TEXTS: "set of held-out texts",
    _TEMPERATURE: "sampling temperature",
    _LENGTH: "limit of response tokens",
}
_USED = {
    "judge_score": (JUDGE, _TEMPERATURE, _LENGTH),
    "win_rate_vs_sft": (JUDGE, SFT, SFT_SAMPLES, _TEMPERATURE, _LENGTH),
    "reward_score": (REWARD_MODEL, _TEMPERATURE, _LENGTH),
    "kl_nats_per_sequence": (SFT, _TEMPERATURE, _LENGTH),
    "distinct_2": (_TEMPERATURE, _LENGTH),
    "perplexity_held_out": (HELD_OUT_TEXTS,),
}
"""What each metric depends on, besides the policy and the prompts."""
_POINTWISE = {"classifier", "reward_model"}
"""Kinds of judges whose score of a response depends on no other response."""


@dataclass(frozen=True)
class MeasuredWith:
    """Content hashes by path and parameters by dotted key of one evaluation."""

    hashes: Mapping[str, str]
    params: Mapping[str, str]

    @classmethod
    def of_run(cls, tags: Mapping[str, str], params: Mapping[str, str]) -> "MeasuredWith":
        """What a run was measured with, by its tags; of its outputs, too: the SFT run wrote the samples of SFT."""
        kinds = ("dvc.out/", "dvc.dep/")
        return cls({key[len(kind) :]: tags[key] for kind in kinds for key in tags if key.startswith(kind)}, params)

    def differences(self, other: "MeasuredWith", metric: str) -> list[str]:
        """Why two values of a metric cannot be compared, such as `another judge`; empty if they can.

        Hashes or parameters that one of them lacks count as a difference.
        """
        reasons = []
        for key in self._used(other, metric):
            ours, theirs = (side.hashes.get(key) or side.params.get(key) for side in (self, other))
            if ours is None or theirs is None:
                reasons.append(f"an unknown {_NAMES[key]}")
            elif ours != theirs:
                reasons.append(f"another {_NAMES[key]}")
        return reasons

    def _used(self, other: "MeasuredWith", metric: str) -> tuple[str, ...]:
        used = _USED.get(metric, ())
        if metric == "judge_score" and not {side.params.get(_JUDGE_KIND) for side in (self, other)} <= _POINTWISE:
            # a comparing judge gives preferences over the SFT samples, which are higher if those are worse
            return (*used, SFT_SAMPLES)
        return used
