"""publish_models: every model as a folder to share, with a model card and a provenance statement."""

import json

from pipeline.models.checkpoints import save_whole
from pipeline.models.folders import link_files
from pipeline.project.hashing import sha256
from pipeline.release.card import model_card, policy_facts, reward_model_facts
from pipeline.release.origins import made_by
from pipeline.release.serving import tell_of_policy, tell_of_reward_model
from pipeline.release.statement import provenance_statement
from pipeline.results.comparison import Comparison
from pipeline.results.document import read_document
from pipeline.results.reward import RewardMetrics
from pipeline.scripts.release import released_template
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage


def main(stage: Stage) -> None:
    """Write each model as a whole one, and what is known of it beside it."""
    comparison = read_document(stage.input("reports/comparison.json"), Comparison)
    rows = json.loads(stage.input("reports/data/metrics.json").read_text())
    facts = {name: policy_facts(name, comparison, rows) for name in ("sft", *stage.params.optimize.methods)}
    reward_metrics = read_document(stage.input("reports/reward_model/metrics.json"), RewardMetrics)
    facts["reward_model"] = reward_model_facts(comparison, reward_metrics)
    template = released_template(stage)
    for name, known in facts.items():
        source, producer, section = made_by(name, comparison)
        folder = stage.output("artifacts/release") / name
        # policies are merged here alone; reward models are whole everywhere
        (link_files if name == "reward_model" else save_whole)(stage.input(source), folder)
        if name == "reward_model":
            # a finished one keeps the format that it was trained on elsewhere
            finished = stage.params.models.reward_backbone.is_reward_model
            tell_of_reward_model(folder, None if finished else template)
        else:
            tell_of_policy(folder, stage.params.sampling, template)
        files = sorted(folder.iterdir())
        digests = {file.name: sha256(file) for file in files}
        card = folder / "README.md"
        card.write_text(model_card(name, known, params=stage.declared_params, section=section, digests=digests))
        statement = provenance_statement(
            {**digests, card.name: sha256(card)},
            stage=producer,
            params=stage.declared_params,
            inputs=stage.input_hashes,
        )
        (folder / "provenance.json").write_text(json.dumps(statement, indent=2, sort_keys=True) + "\n")
        print(f"artifacts/release/{name}: {len(files)} files of {source}, README.md, provenance.json", flush=True)


if __name__ == "__main__":
    run_stage(main, description=__doc__)
