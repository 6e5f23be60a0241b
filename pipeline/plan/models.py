"""The networks of a run: the policy, what the reward model is trained from, and what their weights take."""

from dataclasses import dataclass, replace
from typing import Any

from pipeline.memory.work import Model, Work
from pipeline.models.sources import check_writes
from pipeline.params.schema import Params
from pipeline.plan.networks import load_config, network_of

_BYTES = {"bfloat16": 2, "float32": 4}


@dataclass(frozen=True)
class PlannedModels:
    """The networks of one run, by their configs."""

    policy_config: Any
    scorer_config: Any
    policy: Model
    scorer: Model
    """The backbone of the reward model."""
    policy_number: int
    """Bytes of a stored weight."""
    backbone_number: int
    scorer_number: int
    """Bytes of a stored weight of the reward model when it is finished."""
    candidates: int = 0
    """Bytes on the disk of the candidates of evaluate_reward."""

    @classmethod
    def of(cls, params: Params) -> "PlannedModels":
        """Read the configs of the sources that params.yaml names.

        Raises:
            PipelineError: a config is not there, or the hub cannot be reached.
        """
        named = params.models
        policy = load_config(named.policy, key="models.policy.source")
        check_writes(policy, key="models.policy.source")
        backbone = load_config(named.reward_backbone, key="models.reward_backbone.source")
        bought = 0
        for candidate in params.evaluate_reward.candidates:
            key = f"evaluate_reward.candidates, {candidate.name}, source"
            bought += network_of(load_config(candidate, key=key), writes=False).weights * _BYTES[candidate.dtype]
        stored = _BYTES[named.reward_backbone.dtype]
        return cls(
            policy,
            backbone,
            network_of(policy, writes=True),
            network_of(backbone, writes=False),
            _BYTES[named.policy.dtype],
            stored,
            # one that is trained here is saved in fp32
            stored if named.reward_backbone.is_reward_model else 4,
            bought,
        )

    def exact(self, work: Work) -> Work:
        """The work with the exact counts of weights."""
        model = self.policy if work.section != "train_reward" else self.scorer
        if work.rollout is None:
            return replace(work, model=model)
        return replace(work, model=model, rollout=replace(work.rollout, scorer=self.scorer))
