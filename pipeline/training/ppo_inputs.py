"""What PPO and hybrid read beside the policies that they start from: a folder of `artifacts/inputs/`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.records import read_records, write_records
from pipeline.models.folders import link_files, link_or_copy
from pipeline.params.optimize import Ppo
from pipeline.params.schema import Sampling
from pipeline.training.reward_gate import GateFigures, check_reward_gate

REWARD_MODEL = "reward_model"
"""Its folder, inside that of the inputs."""
PROMPTS = "prompts.jsonl"
GATE = "gate.json"
SAMPLING = "sampling.json"


@dataclass(frozen=True)
class PpoInputs:
    """Prompts to train on, the reward model that is to be optimised, how accurate it is, and how to sample."""

    prompts: Sequence[str]
    reward_model: Path
    """Its folder."""
    gate: GateFigures
    sampling: Sampling

    @classmethod
    def read(cls, folder: Path) -> "PpoInputs":
        """From the folder that evaluate_reward or find_regressions wrote."""
        return cls(
            prompts=[row["prompt"] for row in read_records(folder / PROMPTS, fields=("prompt",))],
            reward_model=folder / REWARD_MODEL,
            gate=json.loads((folder / GATE).read_text()),
            sampling=Sampling.model_validate_json((folder / SAMPLING).read_text()),
        )

    def check_gate(self, settings: Ppo) -> list[str]:
        """Check that the reward model is accurate enough, see `check_reward_gate`.

        Returns:
            Warnings.

        Raises:
            PipelineError: it is not good enough.
        """
        return check_reward_gate(
            self.gate,
            min_accuracy=settings.min_reward_accuracy,
            require_above_longer_wins=settings.require_above_longer_wins,
        )


def hand_on(source: Path, folder: Path, prompts: Sequence[Mapping[str, object]]) -> None:
    """Write the inputs of `source` with other prompts; files get a second name, not a copy.

    Args:
        prompts: records of the prompts to train on.
    """
    link_files(source / REWARD_MODEL, folder / REWARD_MODEL)
    for name in (GATE, SAMPLING):
        link_or_copy(source / name, folder / name)
    write_records(folder / PROMPTS, prompts)


def write_figures(folder: Path, gate: GateFigures, sampling: Sampling) -> None:
    """Write what `PpoInputs.read` reads beside the reward model and the prompts.

    Args:
        sampling: of params.yaml; it lies with PPO's other inputs, so that nothing but PPO depends on it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / GATE).write_text(json.dumps(gate, indent=2, sort_keys=True) + "\n")
    # its default is not written: what was handed on before there was a choice stays as it is
    left_out = {"engine"} if sampling.engine == "own" else None
    (folder / SAMPLING).write_text(sampling.model_dump_json(indent=2, exclude=left_out) + "\n")
