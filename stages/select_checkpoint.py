"""select_checkpoint: score every checkpoint of a policy on validation prompts, and keep one."""

import json
from pathlib import Path
from typing import Any

from pipeline.data.records import read_records, write_records
from pipeline.evaluation.checkpoints import checkpoint_folders, choose_step, score_checkpoints
from pipeline.evaluation.policy import PROMPT_FIELDS, Evaluator, ModelFolders
from pipeline.judges.loading import load_judge
from pipeline.memory.fitting import check_fit
from pipeline.memory.readings import stored_evaluation
from pipeline.models.checkpoints import keep_checkpoint
from pipeline.results.checkpoints import Checkpoints
from pipeline.results.document import checked
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage, method: str, seed: str) -> None:
    """Off the training path: another judge, budget or prompts select again, and nothing is trained again."""
    settings = stage.params.select_checkpoint
    prompts = read_records(stage.input("artifacts/data/prompts/validation.jsonl"), fields=PROMPT_FIELDS)
    evaluator = start_evaluator(stage, prompts[: settings.prompts])
    trained = stage.input(f"artifacts/training/{method}/seed-{seed}")
    history = read_records(stage.input(f"reports/training/{method}/seed-{seed}.jsonl"), fields=("step",))
    repaired = stage.input(f"artifacts/inputs/{method}") / f"seed-{seed}" if method == "hybrid" else None
    first = None if repaired is None else repaired / "policy"
    checkpoints = checkpoint_folders(trained, last_step=int(history[-1]["step"]), first=first)
    points = score_checkpoints(
        evaluator, checkpoints, prompts[: settings.prompts], stage.costs.add_work, stage.log_step
    )

    trusted = json.loads(stage.input("reports/judge/gate.json").read_text())["trusted"]
    selected, last = choose_step(points, settings, trusted=trusted), max(checkpoints)
    print(f"step {selected} of {last} goes on", flush=True)
    target = stage.output(f"artifacts/policies/{method}/seed-{seed}")
    keep_checkpoint(checkpoints[selected], checkpoints[last], target)
    facts: dict[str, Any] = {"selected_step": selected, "last_step": last, "points": points}
    facts |= {"select": settings.select, "max_kl": settings.max_kl, "judge_trusted": trusted}
    facts |= {"prompts": len(points[0]["judge_scores"]), "repair": read_regressions(repaired)}
    stage.write_json(f"reports/checkpoints/{method}/seed-{seed}.json", checked(Checkpoints, facts))
    verdicts = stage.output(f"reports/checkpoints/{method}/seed-{seed}.verdicts.jsonl")
    write_records(verdicts, evaluator.judge.verdicts())


def start_evaluator(stage: Stage, prompts: list[dict[str, Any]]) -> Evaluator:
    """The instruments: the judge, and the reward model that PPO optimises, which may be a third-party one."""
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    sft = stage.input("artifacts/sft")
    compute = stage.start_compute()
    folders = ModelFolders(stage.input("artifacts/inputs/ppo/reward_model"), reference=sft)
    work = stored_evaluation(
        "select_checkpoint",
        (folders.reference, folders.reward_model),
        stage.params.select_checkpoint,
        stage.params.sampling,
        prompts=[row["prompt"] for row in prompts],
        samples=len(prompts),
        policies=3,  # one more while the next checkpoint is loaded
    )
    check_fit(work, stage.params.runtime)
    judge = load_judge(
        stage.input("artifacts/evaluation_judge"), compute, endpoint=stage.judge_endpoint, store=stage.verdict_store
    )
    return Evaluator.load(
        judge=judge,
        folders=folders,
        settings=stage.params.select_checkpoint,
        sampling=stage.params.sampling,
        compute=compute,
        seed=stage.params.seed,
        resume=stage.resume,
    )


def read_regressions(inputs: Path | None) -> Any:
    """What hybrid was to repair; whether it did is told on the evaluation prompts, where nothing was chosen."""
    return None if inputs is None else json.loads((inputs / "regressions.json").read_text())


if __name__ == "__main__":
    run_stage(main, description=__doc__, matrix=("method", "seed"))
