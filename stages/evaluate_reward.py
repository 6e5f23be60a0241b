"""evaluate_reward: measure the own and finished reward models on test pairs, and hand one to PPO with its gate."""

import shutil
from pathlib import Path
from time import perf_counter

from pipeline.errors import PipelineError
from pipeline.evaluation.reward import evaluate_reward, warnings_of
from pipeline.evaluation.reward_choice import OWN, adopt_candidate, choose_model, comparison_lines, table_row
from pipeline.memory.fitting import check_fit
from pipeline.memory.readings import stored_reward_evaluation
from pipeline.models.compute import Compute
from pipeline.models.folders import link_files
from pipeline.models.reward import load_reward_model
from pipeline.models.text_format import FILE, read_text_format
from pipeline.preferences.pair import PreferencePair, passages_of, read_pairs
from pipeline.results.document import checked
from pipeline.results.reward import Calibration, RewardMetrics
from pipeline.stage.run import Stage, run_stage
from pipeline.training.ppo_inputs import PROMPTS, REWARD_MODEL, write_figures
from pipeline.training.reward_gate import GateFigures


def main(stage: Stage) -> None:
    """Score the same pairs with every model, choose one, write its metrics and the inputs of PPO."""
    compute, settings = stage.start_compute(), stage.params.evaluate_reward
    own, candidates = stage.input("artifacts/reward_model"), stage.input("artifacts/models/reward_candidates")
    folders = {OWN: own, **{candidate.name: candidates / candidate.name for candidate in settings.candidates}}
    texts = read_text_format(own / FILE)
    pairs, validation = accepted_pairs(stage, "test"), accepted_pairs(stage, "validation")
    measured = {}
    for name, folder in folders.items():
        start = perf_counter()
        check_fit(stored_reward_evaluation(folder, settings, passages_of(pairs)), stage.params.runtime)
        model = load_reward_model(folder, compute, texts=texts)
        try:
            measured[name] = evaluate_reward(model, pairs, validation, settings)
        except PipelineError as error:
            raise PipelineError(f"{name} (evaluate_reward.candidates; own is the one trained here): {error}") from None
        for warning in warnings_of(name, measured[name][0], settings):
            print(f"warning: {warning}", flush=True)
        seconds = perf_counter() - start  # differ from run to run, so they go to the log and the run alone
        print(f"{name}: {len(pairs)} test pairs in {seconds:.1f} s", flush=True)
        stage.tracker.log({f"cost.evaluate_reward.{name}.seconds": seconds})

    table = [table_row(name, metrics) for name, (metrics, _) in measured.items()]
    chosen = choose_model(table, settings.use)
    print("\n".join(comparison_lines(table, chosen)), flush=True)
    metrics, plot_data = measured[chosen]
    told = {**metrics, "model": chosen, "models": table}
    stage.write_json("reports/reward_model/metrics.json", checked(RewardMetrics, told))
    stage.write_json("reports/reward_model/calibration.json", checked(Calibration, plot_data))
    stage.log_final(metrics)

    inputs = stage.output("artifacts/inputs/ppo")
    if chosen == OWN:
        link_files(own, inputs / REWARD_MODEL)
    else:
        adopt(stage, folders[chosen], inputs / REWARD_MODEL, compute)
    shutil.copy(stage.input("artifacts/data/prompts/train.jsonl"), inputs / PROMPTS)
    gate: GateFigures = {
        "model": chosen,
        "accuracy": metrics["accuracy"],
        "longer_wins_accuracy": metrics["longer_wins_accuracy"],
        "pairs": metrics["pairs"],
    }
    write_figures(inputs, gate, stage.params.sampling)


def accepted_pairs(stage: Stage, split: str) -> list[PreferencePair]:
    """Of a split."""
    return read_pairs(stage.input(f"artifacts/preferences/accepted/{split}.jsonl"))


def adopt(stage: Stage, folder: Path, target: Path, compute: Compute) -> None:
    """Write a finished model as the one that PPO optimises."""
    texts = read_text_format(stage.input("artifacts/reward_model") / FILE)
    model = load_reward_model(folder, compute, texts=texts)
    batch_size = 2 * stage.params.evaluate_reward.batch_size
    for line in adopt_candidate(model, accepted_pairs(stage, "train"), target, texts, batch_size=batch_size):
        print(line, flush=True)


if __name__ == "__main__":
    run_stage(main, description=__doc__)
