"""find_regressions: categories that the first method made worse than SFT, the inputs of hybrid."""

import json

from pipeline.data.records import read_records, write_records
from pipeline.evaluation.policy import PROMPT_FIELDS, Evaluator
from pipeline.evaluation.regressions import compare_categories, first_of_each_category
from pipeline.judges.loading import load_judge
from pipeline.models.folders import link_files, link_or_copy
from pipeline.models.policy import load_policy
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage, seed: str) -> None:
    """Sample both policies on training prompts, compare the judge's scores by category, keep what got worse.

    Whether hybrid repaired it is told on evaluation prompts, which neither this nor the choice of a checkpoint saw.
    """
    folder = stage.output(f"artifacts/inputs/hybrid/seed-{seed}")
    folder.mkdir(parents=True)
    if "hybrid" not in stage.params.optimize.methods:
        print("optimize.methods has no hybrid: nothing to do", flush=True)
        (folder / "unused.json").write_text("{}\n")
        return
    settings = stage.params.find_regressions
    prompts = read_records(stage.input("artifacts/data/prompts/train.jsonl"), fields=PROMPT_FIELDS)
    measured = first_of_each_category(prompts, settings.prompts_per_category)
    start = stage.input(f"artifacts/selected/{stage.params.optimize.methods[0]}/seed-{seed}")
    inputs = stage.input("artifacts/inputs/ppo")
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    compute = stage.start_compute()
    evaluator = Evaluator.load(
        judge=load_judge(
            stage.input("artifacts/evaluation_judge"), compute, endpoint=stage.judge_endpoint, store=stage.verdict_store
        ),
        reward_model=inputs / "reward_model",
        reference=stage.input("artifacts/sft"),
        settings=settings,
        sampling=stage.params.sampling,
        compute=compute,
        seed=stage.params.seed,
        resume=stage.resume,
    )
    sft = evaluator.sample_and_score(evaluator.reference, measured, title="sft samples")
    policy = load_policy(start, compute, finetuning=None)
    samples = evaluator.sample_and_score(policy, measured, title="samples", baseline=sft)
    before, after = ([sample.judge_score for sample in side] for side in (sft, samples))
    table = compare_categories(
        [row["category"] for row in measured],
        before,
        after,
        confidence=settings.confidence,
        max_drop=settings.max_drop,
    )
    regressed = {row["category"] for row in table if row["regressed"]}
    trained = [row for row in prompts if row["category"] in regressed]
    for row in table:
        verdict = ", has regressed" if row["regressed"] else ""
        print(f"  {row['category']}: judge score {row['sft']:.3f} -> {row['before']:.3f}{verdict}", flush=True)
    found = {
        "threshold": settings.max_drop,
        "confidence": settings.confidence,
        "categories": table,
        "prompts_trained": len(trained),
    }
    (folder / "regressions.json").write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")
    link_files(start, folder / "policy")
    link_files(inputs / "reward_model", folder / "reward_model")
    for name in ("gate.json", "sampling.json"):
        link_or_copy(inputs / name, folder / name)
    write_records(folder / "prompts.jsonl", trained)
    stage.log_final({"regressed": len(regressed), "prompts_trained": len(trained)})


if __name__ == "__main__":
    run_stage(main, description=__doc__, matrix=("seed",))
