"""select_checkpoint: score every checkpoint of a policy on validation prompts, and keep one."""

import json
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from pipeline.data.records import read_records, write_records
from pipeline.evaluation.checkpoints import checkpoint_point, choose_step
from pipeline.evaluation.policy import PROMPT_FIELDS, Evaluator
from pipeline.judges.loading import load_judge
from pipeline.models.checkpoints import keep_checkpoint
from pipeline.models.policy import load_policy
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage, method: str, seed: str) -> None:
    """Off the training path: another judge, budget or prompts select again, and nothing is trained again."""
    evaluator = start_evaluator(stage)
    checkpoints = find_checkpoints(stage, method, seed)
    points = score(stage, evaluator, checkpoints)
    trusted = json.loads(stage.input("reports/judge/gate.json").read_text())["trusted"]
    selected, last = choose_step(points, stage.params.select_checkpoint, trusted=trusted), max(checkpoints)
    print(f"step {selected} of {last} goes on", flush=True)
    target = stage.output(f"artifacts/selected/{method}/seed-{seed}")
    keep_checkpoint(checkpoints[selected], checkpoints[last], target)
    repair = found_regressions(stage, seed) if method == "hybrid" else None
    settings = stage.params.select_checkpoint
    facts: dict[str, Any] = {"selected_step": selected, "last_step": last, "points": points, "repair": repair}
    facts |= {"select": settings.select, "max_kl": settings.max_kl, "judge_trusted": trusted}
    facts |= {"prompts": len(points[0]["judge_scores"])}
    stage.write_json(f"reports/checkpoints/{method}/seed-{seed}.json", facts)
    verdicts = stage.output(f"reports/checkpoints/{method}/seed-{seed}.verdicts.jsonl")
    write_records(verdicts, evaluator.judge.verdicts())


def start_evaluator(stage: Stage) -> Evaluator:
    """The instruments: the judge, and the reward model that PPO optimises, which may be a bought one."""
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    sft = stage.input("artifacts/sft")
    compute = stage.start_compute()
    judge = load_judge(
        stage.input("artifacts/evaluation_judge"), compute, endpoint=stage.judge_endpoint, store=stage.verdict_store
    )
    return Evaluator.load(
        judge=judge,
        reward_model=stage.input("artifacts/inputs/ppo/reward_model"),
        reference=sft,
        settings=stage.params.select_checkpoint,
        sampling=stage.params.sampling,
        compute=compute,
        seed=stage.params.seed,
        resume=stage.resume,
    )


def find_checkpoints(stage: Stage, method: str, seed: str) -> dict[int, Path]:
    """The folder of each step, in the order of training.

    Step 1 of hybrid is where it starts, see `optimize_policy`.
    """
    folder = stage.input(f"artifacts/policies/{method}/seed-{seed}")
    history = read_records(stage.input(f"reports/training/{method}/seed-{seed}.jsonl"), fields=("step",))
    found = {int(path.name.removeprefix("step-")): path for path in sorted(folder.glob("checkpoints/step-*"))}
    if method == "hybrid":
        found = {1: stage.input(f"artifacts/inputs/{method}") / f"seed-{seed}/policy", **found}
    return {**found, int(history[-1]["step"]): folder}


def score(stage: Stage, evaluator: Evaluator, checkpoints: Mapping[int, Path]) -> list[dict[str, Any]]:
    """A point for the SFT policy (step 0) and for each checkpoint, all on the same prompts and random numbers."""
    rows = read_records(stage.input("artifacts/data/prompts/validation.jsonl"), fields=PROMPT_FIELDS)
    prompts = rows[: stage.params.select_checkpoint.prompts]
    sft = evaluator.sample_and_score(evaluator.reference, prompts, title="step 0")
    points = [checkpoint_point(evaluator, sft, step=0)]
    for step, folder in checkpoints.items():
        start = perf_counter()
        policy = load_policy(folder, evaluator.compute, finetuning=None)
        samples = evaluator.sample_and_score(policy, prompts, title=f"step {step}", baseline=sft)
        stage.costs.add_work(sum(sample.tokens for sample in samples), perf_counter() - start)
        points.append(checkpoint_point(evaluator, samples, step=step))
        shown = ("judge_score", "reward_score", "kl_interval")
        stage.log_step(step, {name: points[-1][name]["mean"] for name in shown})
    return points


def found_regressions(stage: Stage, seed: str) -> dict[str, Any]:
    """What hybrid was to repair; whether it did is told on the evaluation prompts, where nothing was chosen."""
    found = stage.input("artifacts/inputs/hybrid") / f"seed-{seed}" / "regressions.json"
    regressions: dict[str, Any] = json.loads(found.read_text())
    return regressions


if __name__ == "__main__":
    run_stage(main, description=__doc__, matrix=("method", "seed"))
