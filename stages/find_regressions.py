"""find_regressions: categories that the first method made worse than SFT, the inputs of hybrid."""

import json

from pipeline.data.records import read_rows
from pipeline.data.table_rows import PromptRow
from pipeline.evaluation.regressions import category_lines, find_regressions, first_of_each_category
from pipeline.memory.readings import Measured
from pipeline.models.folders import link_files
from pipeline.models.policy import load_policy
from pipeline.scripts.measuring import open_evaluator
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage
from pipeline.training.ppo_inputs import hand_on


def main(stage: Stage, seed: str) -> None:
    """Sample both policies on training prompts, compare the judge's scores by category, keep what got worse.

    Whether hybrid repaired it is told on evaluation prompts, which neither this nor the choice of a checkpoint saw.
    """
    folder = stage.output(f"artifacts/inputs/hybrid/seed-{seed}")
    if "hybrid" not in stage.params.optimize.methods:
        stage.only_first_goes_on()
        folder.mkdir(parents=True)
        print("optimize.methods has no hybrid: nothing to do", flush=True)
        (folder / "unused.json").write_text("{}\n")
        return
    settings = stage.params.find_regressions
    prompts = read_rows(stage.input("artifacts/data/prompts/train.jsonl"), PromptRow)
    start = stage.input(f"artifacts/policies/{stage.params.optimize.methods[0]}/seed-{seed}")
    inputs = stage.input("artifacts/inputs/ppo")
    compute = stage.start_compute()
    measured = first_of_each_category(prompts, settings.prompts_per_category)
    section = "find_regressions"
    evaluator = open_evaluator(stage, compute, settings, Measured(measured, len(measured)), section=section)
    policy = load_policy(start, compute, finetuning=None)
    repair, trained = find_regressions(evaluator, policy, prompts, settings)
    stage.only_first_goes_on()
    folder.mkdir(parents=True)
    for line in category_lines(repair.categories):
        print(line, flush=True)
    (folder / "regressions.json").write_text(json.dumps(repair.as_json(), indent=2, sort_keys=True) + "\n")
    link_files(start, folder / "policy")
    hand_on(inputs, folder, trained)
    regressed = sum(row.regressed for row in repair.categories)
    stage.log_final({"regressed": regressed, "prompts_trained": len(trained)})


if __name__ == "__main__":
    run_stage(main, description=__doc__, matrix=("seed",))
