"""evaluate_policy: one policy on the evaluation prompts, against the SFT policy."""

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from pipeline.data.records import read_records, write_records
from pipeline.data.tables import write_table
from pipeline.evaluation.policy import Evaluator, ScoredSample, frontier_point, policy_metrics
from pipeline.judges.loading import load_judge
from pipeline.models.policy import load_adapters, load_policy
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage, method: str) -> None:
    """Sample, score and compare, then the same for the checkpoints kept on the way."""
    settings = stage.params.evaluate_policy
    prompts = read_records(stage.input("artifacts/data/prompts/evaluation.jsonl"), fields=("id", "prompt"))
    texts = read_records(stage.input("artifacts/data/texts/evaluation.jsonl"), fields=("prompt", "response", "ended"))
    baseline = [ScoredSample(**row) for row in read_records(stage.input("reports/policies/sft/samples.jsonl"))]
    compute = stage.start_compute()
    evaluator = Evaluator.load(
        judge=load_judge(
            stage.input("artifacts/judge"), compute, endpoint=stage.judge_endpoint, store=stage.verdict_store
        ),
        # the one that PPO optimises, which may be a bought one
        reward_model=stage.input("artifacts/inputs/ppo/reward_model"),
        reference=stage.input("artifacts/sft"),
        settings=settings,
        sampling=stage.params.sampling,
        compute=compute,
        seed=stage.params.seed,
        resume=stage.resume,
    )
    policy = load_policy(stage.input(f"artifacts/policies/{method}"), evaluator.compute, finetuning=None)
    start = perf_counter()
    samples = evaluator.sample_and_score(policy, prompts, title=f"{method} samples", baseline=baseline)
    stage.costs.add_work(sum(sample.tokens for sample in samples), perf_counter() - start)
    perplexity = evaluator.perplexity(policy, texts, title=f"{method} perplexity")
    del policy
    metrics = policy_metrics(evaluator, samples, baseline, perplexity)
    points = _frontier(stage, evaluator, method, prompts[: settings.frontier_prompts], baseline)
    write_table(
        stage.output(f"reports/policies/{method}/samples.jsonl"), [sample.as_row() for sample in samples], "samples"
    )
    write_records(stage.output(f"reports/policies/{method}/verdicts.jsonl"), evaluator.judge.verdicts())
    stage.write_json(f"reports/policies/{method}/metrics.json", metrics)
    stage.write_json(f"reports/policies/{method}/frontier.json", {"points": points})
    stage.log_final(metrics)


def _frontier(
    stage: Stage,
    evaluator: Evaluator,
    method: str,
    prompts: Sequence[dict[str, str]],
    baseline: Sequence[ScoredSample],
) -> list[dict[str, Any]]:
    points = []
    for folder in sorted(stage.input(f"artifacts/policies/{method}").glob("checkpoints/step-*")):
        step = int(folder.name.removeprefix("step-"))
        policy = load_adapters(folder, stage.input("artifacts/sft"), evaluator.compute)
        samples = evaluator.sample_and_score(policy, prompts, title=f"{method} step {step}", baseline=baseline)
        points.append(frontier_point(evaluator, samples, step=step))
    return points


if __name__ == "__main__":
    run_stage(main, description=__doc__, variant="method")
