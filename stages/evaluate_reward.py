"""evaluate_reward: measure the own and finished reward models on test pairs, and hand one to PPO with its gate."""

from pipeline.evaluation.reward_choice import (
    OWN,
    choose_model,
    comparison_lines,
    measure_models,
    table_row,
)
from pipeline.memory.fitting import check_fit
from pipeline.memory.readings import stored_reward_evaluation
from pipeline.models.text_format import FILE, read_text_format
from pipeline.preferences.pair import PreferencePair, passages_of, read_pairs
from pipeline.results.reward import RewardMetrics
from pipeline.scripts.ppo_handover import hand_to_ppo
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage


def main(stage: Stage) -> None:
    """Score the same pairs with every model, choose one, write its metrics and the inputs of PPO."""
    compute, settings = stage.start_compute(), stage.params.evaluate_reward
    own, candidates = stage.input("artifacts/reward_model"), stage.input("artifacts/models/reward_candidates")
    folders = {OWN: own, **{candidate.name: candidates / candidate.name for candidate in settings.candidates}}
    texts = read_text_format(own / FILE)
    pairs, validation = accepted_pairs(stage, "test"), accepted_pairs(stage, "validation")
    for folder in folders.values():
        check_fit(stored_reward_evaluation(folder, settings, passages_of(pairs)), stage.params.runtime)
    measured = measure_models(
        folders,
        pairs,
        validation,
        settings,
        compute=compute,
        texts=texts,
        # they differ from run to run, so they go to the log and the run alone
        on_seconds=lambda name, seconds: stage.tracker.log({f"cost.evaluate_reward.{name}.seconds": seconds}),
    )
    table = [table_row(name, metrics) for name, (metrics, _) in measured.items()]
    chosen = choose_model(table, settings.use)
    print("\n".join(comparison_lines(table, chosen)), flush=True)
    metrics, plot_data = measured[chosen]
    told = RewardMetrics(**metrics.as_fields(), model=chosen, models=table)
    stage.write_json("reports/reward_model/metrics.json", told.as_json())
    stage.write_json("reports/reward_model/calibration.json", plot_data.as_json())
    stage.log_final(metrics.as_json())
    hand_to_ppo(stage, chosen, folders[chosen], metrics, compute, texts)


def accepted_pairs(stage: Stage, split: str) -> list[PreferencePair]:
    """The accepted pairs of a split."""
    return read_pairs(stage.input(f"artifacts/preferences/accepted/{split}.jsonl"))


if __name__ == "__main__":
    run_stage(main, description=__doc__)
