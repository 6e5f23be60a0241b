"""fit_judge: make the judges ready, measure them on human labels that they have not seen, and say whom to trust."""

import shutil

from pipeline.data.records import read_records, write_records
from pipeline.evaluation.held_out_labels import (
    FirstJudges,
    HeldOutLabels,
    check_trust,
    measure_classifiers,
    measure_finished,
    measure_second,
)
from pipeline.judges.finished import FinishedJudges
from pipeline.judges.loading import save_no_judge
from pipeline.judges.protocol import Judge, VerdictRecord
from pipeline.judges.text_classifier import check_labels, fit_judges
from pipeline.models.text_format import read_text_format
from pipeline.results.judges import JudgeGate
from pipeline.stage.run import Stage, run_stage

FIELDS = ("id", "text", "label")


def main(stage: Stage) -> None:
    """Write the judge that ranks training pairs, the one that measures policies, and the second that measures again."""
    kind, second_kind = stage.params.judge.kind, stage.params.judge.second
    test = read_records(stage.input("artifacts/data/labels/test.jsonl"), fields=FIELDS)
    labels = HeldOutLabels(test, stage.params.fit_judge.window_words, stage.params.judge.measured_pairs)
    finished = FinishedJudges(
        chat=stage.params.judge.chat,
        reward_model=stage.params.judge.reward_model,
        endpoint=stage.judge_endpoint,
        store=stage.verdict_store,
        start_compute=stage.start_compute,
        text_format=read_text_format(stage.input("artifacts/data/text_format.json")),
    )
    least = stage.params.judge.min_accuracy
    scale = [text for pair in labels.pairs for text in pair]
    ranks, measures = stage.output("artifacts/judge"), stage.output("artifacts/evaluation_judge")
    verdicts: list[VerdictRecord] = []
    if kind == "classifier":
        first, measuring = fit_classifiers(stage, labels)
    else:
        measuring = finished.save(kind, ranks, scale)
        first = measure_finished(labels, measuring, kind, min_accuracy=least)
        verdicts = measuring.verdicts()
        shutil.copytree(ranks, measures)

    measured_second = None
    if second_kind == "none":
        save_no_judge(stage.output("artifacts/second_judge"))
    else:
        second = finished.save(second_kind, stage.output("artifacts/second_judge"), scale)
        measured_second = measure_second(labels, measuring, second, (kind, second_kind), min_accuracy=least)
        verdicts += second.verdicts()
    write_records(stage.output("reports/judge/verdicts.jsonl"), verdicts)
    metrics = first.metrics(measured_second)
    gate = JudgeGate(trusted=metrics.measuring.problem is None)
    stage.write_json("reports/judge/gate.json", gate.as_json())
    for warning in check_trust(metrics, below_min_accuracy=stage.params.judge.below_min_accuracy):
        print(f"warning: {warning}", flush=True)
    stage.write_json("reports/judge/metrics.json", metrics.as_json())
    stage.log_final(metrics.as_json())


def fit_classifiers(stage: Stage, labels: HeldOutLabels) -> tuple[FirstJudges, Judge]:
    """Fit and save the two, measure them; the second return value measures policies."""
    settings = stage.params.fit_judge
    train = read_records(stage.input("artifacts/data/labels/train.jsonl"), fields=FIELDS)
    check_labels(train, labels.rows)
    judges, fitted_on = zip(*fit_judges(train, settings), strict=True)
    for judge, name in zip(judges, ("judge", "evaluation_judge"), strict=True):
        judge.save(stage.output(f"artifacts/{name}"))
    opened = [judge.as_judge() for judge in judges]
    least = stage.params.judge.min_accuracy
    measured = measure_classifiers(labels, opened, fitted_on, independent=settings.independent, min_accuracy=least)
    return measured, opened[1]


if __name__ == "__main__":
    run_stage(main, description=__doc__)
