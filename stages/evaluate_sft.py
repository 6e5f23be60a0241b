"""evaluate_sft: the SFT policy on the evaluation prompts, and the best-of-n line that training has to beat."""

from time import perf_counter

from pipeline.data.records import read_rows, write_records
from pipeline.data.table_rows import PromptRow, TextRow
from pipeline.data.tables import write_table
from pipeline.evaluation.best_of_n import best_of_n_points
from pipeline.evaluation.policy_metrics import policy_metrics
from pipeline.memory.readings import Measured
from pipeline.results.policies import Frontier
from pipeline.scripts.measuring import open_evaluator
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage


def main(stage: Stage) -> None:
    """One continuation of each prompt, as for every policy; for the largest n on the prompts that checkpoints get."""
    settings = stage.params.evaluate_policy
    prompts = read_rows(stage.input("artifacts/data/prompts/evaluation.jsonl"), PromptRow)
    texts = read_rows(stage.input("artifacts/data/texts/evaluation.jsonl"), TextRow)
    compute = stage.start_compute()
    rows = read_rows(stage.input("artifacts/data/prompts/validation.jsonl"), PromptRow)
    fewer, copies = rows[: stage.params.select_checkpoint.prompts], max(settings.best_of_n)
    measured = Measured(prompts + fewer, max(len(prompts), copies * len(fewer)), texts, policies=1)
    second = stage.input("artifacts/second_judge")
    evaluator = open_evaluator(stage, compute, settings, measured, section="evaluate_policy", second_judge=second)
    start = perf_counter()
    samples = evaluator.sample_and_score(evaluator.reference, prompts, title="sft samples")
    samples = evaluator.judge_again(samples, samples)
    single = evaluator.sample_and_score(evaluator.reference, fewer, title="step 0")
    drawn = evaluator.sample_and_score(
        evaluator.reference, fewer, copies=copies, title=f"sft best of {copies}", baseline=single
    )
    stage.costs.add_work(sum(sample.tokens for sample in samples + drawn), perf_counter() - start)
    perplexity = evaluator.perplexity(evaluator.reference, texts, title="sft perplexity")
    metrics = policy_metrics(evaluator, samples, samples, perplexity)
    stage.only_first_goes_on()
    write_table(stage.output("reports/policies/sft/samples.jsonl"), [sample.as_row() for sample in samples], "samples")
    write_records(stage.output("reports/policies/sft/verdicts.jsonl"), evaluator.verdicts())
    stage.write_json("reports/policies/sft/metrics.json", metrics.as_json())
    frontier = Frontier(points=best_of_n_points(evaluator, drawn, settings.best_of_n))
    stage.write_json("reports/policies/sft/frontier.json", frontier.as_json())
    stage.log_final(metrics.as_json())


if __name__ == "__main__":
    run_stage(main, description=__doc__)
