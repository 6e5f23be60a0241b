"""evaluate_policy: one policy on the evaluation prompts, against the SFT policy."""

import json
from time import perf_counter

from pipeline.data.records import read_records, write_records
from pipeline.data.tables import write_table
from pipeline.evaluation.policy import PROMPT_FIELDS, Evaluator, ModelFolders, ScoredSample
from pipeline.evaluation.policy_metrics import last_metrics, policy_metrics
from pipeline.judges.loading import load_judge, load_second_judge
from pipeline.memory.fitting import check_fit
from pipeline.memory.readings import stored_evaluation
from pipeline.models.policy import load_policy
from pipeline.results.document import checked
from pipeline.results.policies import TrainedMetrics
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage, method: str, seed: str) -> None:
    """Sample, score and compare the selected checkpoint, and the last one where that is another."""
    prompts = read_records(stage.input("artifacts/data/prompts/evaluation.jsonl"), fields=PROMPT_FIELDS)
    texts = read_records(stage.input("artifacts/data/texts/evaluation.jsonl"), fields=("prompt", "response", "ended"))
    baseline = [ScoredSample(**row) for row in read_records(stage.input("reports/policies/sft/samples.jsonl"))]
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    stage.input(f"artifacts/inputs/{method}")  # hybrid's adapters lie on the policy in there
    compute = stage.start_compute()
    # the reward model that PPO optimises, which may be a third-party one
    folders = ModelFolders(stage.input("artifacts/inputs/ppo/reward_model"), reference=stage.input("artifacts/sft"))
    work = stored_evaluation(
        "evaluate_policy",
        (folders.reference, folders.reward_model),
        stage.params.evaluate_policy,
        stage.params.sampling,
        prompts=[row["prompt"] for row in prompts],
        samples=len(prompts),
        texts=texts,
    )
    check_fit(work, stage.params.runtime)
    evaluator = Evaluator.load(
        judge=load_judge(
            stage.input("artifacts/evaluation_judge"), compute, endpoint=stage.judge_endpoint, store=stage.verdict_store
        ),
        folders=folders,
        settings=stage.params.evaluate_policy,
        sampling=stage.params.sampling,
        compute=compute,
        seed=stage.params.seed,
        resume=stage.resume,
    )
    second = load_second_judge(
        stage.input("artifacts/second_judge"), compute, endpoint=stage.judge_endpoint, store=stage.verdict_store
    )
    policy = load_policy(stage.input(f"artifacts/policies/{method}/seed-{seed}"), compute, finetuning=None)
    start = perf_counter()
    samples = evaluator.sample_and_score(policy, prompts, title=f"{method} samples", baseline=baseline)
    samples = evaluator.judge_again(second, samples, baseline)
    stage.costs.add_work(sum(sample.tokens for sample in samples), perf_counter() - start)
    perplexity = evaluator.perplexity(policy, texts, title=f"{method} perplexity")
    del policy
    metrics = policy_metrics(evaluator, samples, baseline, perplexity)
    steps = json.loads(stage.input(f"reports/checkpoints/{method}/seed-{seed}.json").read_text())
    metrics |= {name: steps[name] for name in ("selected_step", "last_step")}
    changed = metrics["selected_step"] != metrics["last_step"]
    last = stage.input(f"artifacts/training/{method}/seed-{seed}")
    metrics["last"] = last_metrics(evaluator, last, prompts, baseline) if changed else None
    rows = [sample.as_row() for sample in samples]
    write_table(stage.output(f"reports/policies/{method}/seed-{seed}/samples.jsonl"), rows, "samples")
    verdicts = [verdict for judge in (evaluator.judge, second) if judge for verdict in judge.verdicts()]
    write_records(stage.output(f"reports/policies/{method}/seed-{seed}/verdicts.jsonl"), verdicts)
    stage.write_json(f"reports/policies/{method}/seed-{seed}/metrics.json", checked(TrainedMetrics, metrics))
    stage.log_final(metrics)


if __name__ == "__main__":
    run_stage(main, description=__doc__, matrix=("method", "seed"))
