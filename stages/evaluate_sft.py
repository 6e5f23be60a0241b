"""evaluate_sft: the SFT policy on the evaluation prompts, and the best-of-n line that training has to beat."""

from time import perf_counter

from pipeline.data.records import read_records, write_records
from pipeline.data.tables import write_table
from pipeline.evaluation.best_of_n import best_of_n_points
from pipeline.evaluation.policy import PROMPT_FIELDS, Evaluator, ModelFolders
from pipeline.evaluation.policy_metrics import policy_metrics
from pipeline.judges.loading import load_judge, load_second_judge
from pipeline.memory.fitting import check_fit
from pipeline.memory.readings import stored_evaluation
from pipeline.results.document import checked
from pipeline.results.policies import Frontier, PolicyMetrics
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage) -> None:
    """One continuation of each prompt, as for every policy; for the largest n on the prompts that checkpoints get."""
    settings = stage.params.evaluate_policy
    prompts = read_records(stage.input("artifacts/data/prompts/evaluation.jsonl"), fields=PROMPT_FIELDS)
    texts = read_records(stage.input("artifacts/data/texts/evaluation.jsonl"), fields=("prompt", "response", "ended"))
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    compute = stage.start_compute()
    rows = read_records(stage.input("artifacts/data/prompts/validation.jsonl"), fields=PROMPT_FIELDS)
    fewer, copies = rows[: stage.params.select_checkpoint.prompts], max(settings.best_of_n)
    # the reward model that PPO optimises, which may be a third-party one
    folders = ModelFolders(stage.input("artifacts/inputs/ppo/reward_model"), reference=stage.input("artifacts/sft"))
    work = stored_evaluation(
        "evaluate_policy",
        (folders.reference, folders.reward_model),
        settings,
        stage.params.sampling,
        prompts=[row["prompt"] for row in prompts + fewer],
        samples=max(len(prompts), copies * len(fewer)),
        texts=texts,
        policies=1,
    )
    check_fit(work, stage.params.runtime)
    evaluator = Evaluator.load(
        judge=load_judge(
            stage.input("artifacts/evaluation_judge"), compute, endpoint=stage.judge_endpoint, store=stage.verdict_store
        ),
        folders=folders,
        settings=settings,
        sampling=stage.params.sampling,
        compute=compute,
        seed=stage.params.seed,
        resume=stage.resume,
    )
    second = load_second_judge(
        stage.input("artifacts/second_judge"), compute, endpoint=stage.judge_endpoint, store=stage.verdict_store
    )
    start = perf_counter()
    samples = evaluator.sample_and_score(evaluator.reference, prompts, title="sft samples")
    samples = evaluator.judge_again(second, samples, samples)
    single = evaluator.sample_and_score(evaluator.reference, fewer, title="step 0")
    drawn = evaluator.sample_and_score(
        evaluator.reference, fewer, copies=copies, title=f"sft best of {copies}", baseline=single
    )
    stage.costs.add_work(sum(sample.tokens for sample in samples + drawn), perf_counter() - start)
    perplexity = evaluator.perplexity(evaluator.reference, texts, title="sft perplexity")
    metrics = policy_metrics(evaluator, samples, samples, perplexity)
    write_table(stage.output("reports/policies/sft/samples.jsonl"), [sample.as_row() for sample in samples], "samples")
    verdicts = [verdict for judge in (evaluator.judge, second) if judge for verdict in judge.verdicts()]
    write_records(stage.output("reports/policies/sft/verdicts.jsonl"), verdicts)
    stage.write_json("reports/policies/sft/metrics.json", checked(PolicyMetrics, metrics))
    points = best_of_n_points(evaluator, drawn, settings.best_of_n)
    stage.write_json("reports/policies/sft/frontier.json", checked(Frontier, {"points": points}))
    stage.log_final(metrics)


if __name__ == "__main__":
    run_stage(main, description=__doc__)
