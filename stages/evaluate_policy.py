"""evaluate_policy: one policy on the evaluation prompts, against the SFT policy."""

from time import perf_counter

from pipeline.data.records import read_records, read_rows, write_records
from pipeline.data.table_rows import PromptRow, TextRow
from pipeline.data.tables import write_table
from pipeline.evaluation.policy import ScoredSample
from pipeline.evaluation.policy_metrics import last_metrics, policy_metrics
from pipeline.memory.readings import Measured
from pipeline.models.policy import load_policy
from pipeline.results.checkpoints import Checkpoints
from pipeline.results.document import read_document
from pipeline.results.policies import TrainedMetrics
from pipeline.scripts.measuring import open_evaluator
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage


def main(stage: Stage, method: str, seed: str) -> None:
    """Sample, score and compare the selected checkpoint, and the last one where that is another."""
    prompts = read_rows(stage.input("artifacts/data/prompts/evaluation.jsonl"), PromptRow)
    texts = read_rows(stage.input("artifacts/data/texts/evaluation.jsonl"), TextRow)
    baseline = [ScoredSample(**row) for row in read_records(stage.input("reports/policies/sft/samples.jsonl"))]
    stage.input(f"artifacts/inputs/{method}")  # hybrid's adapters lie on the policy in there
    compute = stage.start_compute()
    measured, settings = Measured(prompts, len(prompts), texts), stage.params.evaluate_policy
    second = stage.input("artifacts/second_judge")
    evaluator = open_evaluator(stage, compute, settings, measured, section="evaluate_policy", second_judge=second)
    policy = load_policy(stage.input(f"artifacts/policies/{method}/seed-{seed}"), compute, finetuning=None)
    start = perf_counter()
    samples = evaluator.sample_and_score(policy, prompts, title=f"{method} samples", baseline=baseline)
    samples = evaluator.judge_again(samples, baseline)
    stage.costs.add_work(sum(sample.tokens for sample in samples), perf_counter() - start)
    perplexity = evaluator.perplexity(policy, texts, title=f"{method} perplexity")
    del policy
    checkpoints = read_document(stage.input(f"reports/checkpoints/{method}/seed-{seed}.json"), Checkpoints)
    selected, last_step = checkpoints.selected_step, checkpoints.last_step
    last = stage.input(f"artifacts/training/{method}/seed-{seed}")
    metrics = TrainedMetrics(
        **policy_metrics(evaluator, samples, baseline, perplexity).as_fields(),
        selected_step=selected,
        last_step=last_step,
        last=None if selected == last_step else last_metrics(evaluator, last, prompts, baseline),
    )
    stage.only_first_goes_on()
    rows = [sample.as_row() for sample in samples]
    write_table(stage.output(f"reports/policies/{method}/seed-{seed}/samples.jsonl"), rows, "samples")
    write_records(stage.output(f"reports/policies/{method}/seed-{seed}/verdicts.jsonl"), evaluator.verdicts())
    stage.write_json(f"reports/policies/{method}/seed-{seed}/metrics.json", metrics.as_json())
    stage.log_final(metrics.as_json())


if __name__ == "__main__":
    run_stage(main, description=__doc__, matrix=("method", "seed"))
