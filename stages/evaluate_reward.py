"""evaluate_reward: measure the reward model on test pairs, and hand it to PPO with the figures of its gate."""

import json
import shutil

from pipeline.data.preferences import TextPair
from pipeline.data.records import read_records
from pipeline.evaluation.reward import evaluate_reward
from pipeline.models.reward import load_reward_model
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage) -> None:
    """Score the test pairs, write metrics and calibration."""
    compute = stage.start_compute()
    rows = read_records(stage.input("artifacts/preferences/accepted/test.jsonl"))
    model = load_reward_model(stage.input("artifacts/reward_model"), compute)
    metrics, plot_data = evaluate_reward(
        model,
        [TextPair.of(row) for row in rows],
        [(len(row["chosen"]), len(row["rejected"])) for row in rows],
        stage.params.evaluate_reward,
    )
    print(f"accuracy {metrics['accuracy']['mean']:.3f} on {len(rows)} pairs", flush=True)
    stage.write_json("reports/reward_model/metrics.json", metrics)
    stage.write_json("reports/reward_model/calibration.json", plot_data)
    stage.log_final(metrics)

    inputs = stage.output("artifacts/inputs/ppo")
    shutil.copytree(stage.input("artifacts/reward_model"), inputs / "reward_model")
    shutil.copy(stage.input("artifacts/data/prompts/train.jsonl"), inputs / "prompts.jsonl")
    gate = {"accuracy": metrics["accuracy"], "pairs": metrics["pairs"]}
    (inputs / "gate.json").write_text(json.dumps(gate, indent=2, sort_keys=True) + "\n")
    # with PPO's other inputs, so that only PPO depends on it
    (inputs / "sampling.json").write_text(stage.params.sampling.model_dump_json(indent=2) + "\n")


if __name__ == "__main__":
    run_stage(main, description=__doc__)
