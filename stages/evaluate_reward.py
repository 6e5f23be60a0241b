"""evaluate_reward: measure the own and finished reward models on test pairs, and hand one to PPO with its gate."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from pipeline.evaluation.reward import CalibrationPlot, RewardMetrics, evaluate_reward, warnings_of
from pipeline.evaluation.reward_choice import OWN, choose_model, comparison_lines, shift_to_responses, table_row
from pipeline.models.compute import Compute
from pipeline.models.folders import link_files
from pipeline.models.reward import load_reward_model
from pipeline.models.text_format import (
    FILE,
    TextFormat,
    foreign_template_warning,
    read_text_format,
    store_text_format,
)
from pipeline.preferences.pair import read_pairs
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage) -> None:
    """Score the same pairs with every model, choose one, write its metrics and the inputs of PPO."""
    compute = stage.start_compute()
    bought = stage.input("artifacts/models/reward_candidates")
    names = [candidate.name for candidate in stage.params.evaluate_reward.candidates]
    folders = {OWN: stage.input("artifacts/reward_model"), **{name: bought / name for name in names}}
    measured = measure(stage, folders, compute)
    table = [table_row(name, metrics) for name, (metrics, _) in measured.items()]
    chosen = choose_model(table, stage.params.evaluate_reward.use)
    print("\n".join(comparison_lines(table, chosen)), flush=True)
    metrics, plot_data = measured[chosen]
    stage.write_json("reports/reward_model/metrics.json", {**metrics, "model": chosen, "models": table})
    stage.write_json("reports/reward_model/calibration.json", plot_data)
    stage.log_final(metrics)
    gate = {
        "model": chosen,
        "accuracy": metrics["accuracy"],
        "longer_wins_accuracy": metrics["longer_wins_accuracy"],
        "pairs": metrics["pairs"],
    }
    write_inputs(stage, folders[chosen], gate, compute)


def measure(
    stage: Stage, folders: Mapping[str, Path], compute: Compute
) -> dict[str, tuple[RewardMetrics, CalibrationPlot]]:
    """Metrics and plot data of each model; the seconds, which differ from run to run, go to the log and the run."""
    pairs, validation = (
        read_pairs(stage.input(f"artifacts/preferences/accepted/{split}.jsonl")) for split in ("test", "validation")
    )
    settings, texts = stage.params.evaluate_reward, read_text_format(folders[OWN] / FILE)
    measured = {}
    for name, folder in folders.items():
        start = perf_counter()
        model = load_reward_model(folder, compute, texts=texts)
        measured[name] = evaluate_reward(model, pairs, validation, settings)
        for warning in warnings_of(name, measured[name][0], settings):
            print(f"warning: {warning}", flush=True)
        seconds = perf_counter() - start
        print(f"{name}: {len(pairs)} test pairs in {seconds:.1f} s", flush=True)
        stage.tracker.log({f"cost.evaluate_reward.{name}.seconds": seconds})
    return measured


def write_inputs(stage: Stage, folder: Path, gate: Mapping[str, Any], compute: Compute) -> None:
    """What PPO reads: the chosen model, the figures of its gate, prompts, and how to sample."""
    own, inputs = stage.input("artifacts/reward_model"), stage.output("artifacts/inputs/ppo")
    if folder == own:
        link_files(own, inputs / "reward_model")
    else:
        adopt(stage, folder, inputs / "reward_model", compute, read_text_format(own / FILE))
    shutil.copy(stage.input("artifacts/data/prompts/train.jsonl"), inputs / "prompts.jsonl")
    (inputs / "gate.json").write_text(json.dumps(gate, indent=2, sort_keys=True) + "\n")
    # with PPO's other inputs, so that only PPO depends on it
    (inputs / "sampling.json").write_text(stage.params.sampling.model_dump_json(indent=2) + "\n")


def adopt(stage: Stage, folder: Path, target: Path, compute: Compute, texts: TextFormat) -> None:
    """A finished model, shifted to mean 0 on the training responses; `texts` is what it scores from now on."""
    model = load_reward_model(folder, compute, texts=texts)
    if warning := foreign_template_warning(model.tokenizer.chat_template, texts):
        print(f"warning: {warning}", flush=True)
    batch_size = 2 * stage.params.evaluate_reward.batch_size
    pairs = read_pairs(stage.input("artifacts/preferences/accepted/train.jsonl"))
    mean = shift_to_responses(model, pairs, batch_size=batch_size)
    print(f"scores shifted by {-mean:.3f} to mean 0 on the training responses", flush=True)
    model.save(target)
    store_text_format(target, texts)


if __name__ == "__main__":
    run_stage(main, description=__doc__)
