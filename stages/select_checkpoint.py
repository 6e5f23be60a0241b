"""select_checkpoint: score every checkpoint of a policy on validation prompts, and keep one."""

from pipeline.data.records import read_records, read_rows, write_records
from pipeline.data.table_rows import PromptRow
from pipeline.evaluation.checkpoints import checkpoint_folders, choose_step, last_step, score_checkpoints
from pipeline.memory.readings import Measured
from pipeline.models.checkpoints import keep_checkpoint
from pipeline.results.checkpoints import Checkpoints
from pipeline.results.document import read_document
from pipeline.results.judges import JudgeGate
from pipeline.results.repair import Repair
from pipeline.scripts.measuring import open_evaluator
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage


def main(stage: Stage, method: str, seed: str) -> None:
    """Off the training path: another judge, budget or prompts select again, and nothing is trained again."""
    settings = stage.params.select_checkpoint
    prompts = read_rows(stage.input("artifacts/data/prompts/validation.jsonl"), PromptRow)[: settings.prompts]
    compute = stage.start_compute()
    measured = Measured(prompts, len(prompts), policies=3)  # one more while the next checkpoint is loaded
    evaluator = open_evaluator(stage, compute, settings, measured, section="select_checkpoint")
    trained = stage.input(f"artifacts/training/{method}/seed-{seed}")
    history = read_records(stage.input(f"reports/training/{method}/seed-{seed}.jsonl"), fields=("step",))
    repaired = stage.input(f"artifacts/inputs/{method}") / f"seed-{seed}" if method == "hybrid" else None
    first = None if repaired is None else repaired / "policy"
    checkpoints = checkpoint_folders(trained, last_step=last_step(history), first=first)
    points = score_checkpoints(evaluator, checkpoints, prompts, stage.costs.add_work, stage.log_step)
    stage.only_first_goes_on()

    trusted = read_document(stage.input("reports/judge/gate.json"), JudgeGate).trusted
    selected, last = choose_step(points, settings, trusted=trusted), max(checkpoints)
    print(f"step {selected} of {last} goes on", flush=True)
    target = stage.output(f"artifacts/policies/{method}/seed-{seed}")
    keep_checkpoint(checkpoints[selected], checkpoints[last], target)
    told = Checkpoints(
        points=points,
        selected_step=selected,
        last_step=last,
        select=settings.select,
        max_kl=settings.max_kl,
        judge_trusted=trusted,
        prompts=len(points[0].judge_scores),
        # what hybrid was to repair; whether it did is told on the evaluation prompts, where nothing was chosen
        repair=None if repaired is None else read_document(repaired / "regressions.json", Repair),
    )
    stage.write_json(f"reports/checkpoints/{method}/seed-{seed}.json", told.as_json())
    verdicts = stage.output(f"reports/checkpoints/{method}/seed-{seed}.verdicts.jsonl")
    write_records(verdicts, evaluator.judge.verdicts())


if __name__ == "__main__":
    run_stage(main, description=__doc__, matrix=("method", "seed"))
