"""fit_judge: make the judges ready, measure them on human labels that they have not seen, and say whom to trust."""

import shutil

from pipeline.data.records import read_rows, write_records
from pipeline.data.table_rows import LabelRow
from pipeline.evaluation.held_out_labels import (
    HeldOutLabels,
    check_trust,
    fit_classifiers,
    measure_finished,
    measure_second,
)
from pipeline.judges.loading import save_no_judge
from pipeline.results.judges import JudgeGate
from pipeline.scripts.judges import finished_judges
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage


def main(stage: Stage) -> None:
    """Write the judge that ranks training pairs, the one that measures policies, and the second that measures again."""
    kind, second_kind, least = stage.params.judge.kind, stage.params.judge.second, stage.params.judge.min_accuracy
    test = read_rows(stage.input("artifacts/data/labels/test.jsonl"), LabelRow)
    labels = HeldOutLabels(test, stage.params.fit_judge.window_words, stage.params.judge.measured_pairs)
    finished = finished_judges(stage)
    scale = [text for pair in labels.pairs for text in pair]
    ranks, measures = stage.output("artifacts/judge"), stage.output("artifacts/evaluation_judge")
    again = stage.output("artifacts/second_judge")
    if kind == "classifier":
        train = read_rows(stage.input("artifacts/data/labels/train.jsonl"), LabelRow)
        first, measuring = fit_classifiers(train, labels, (ranks, measures), stage.params.fit_judge, min_accuracy=least)
    else:
        measuring = finished.save(kind, ranks, scale)
        first = measure_finished(labels, measuring, kind, min_accuracy=least)
        shutil.copytree(ranks, measures)
    verdicts, second = measuring.verdicts(), None
    if second_kind == "none":
        save_no_judge(again)
    else:
        judge = finished.save(second_kind, again, scale)
        second = measure_second(labels, measuring, judge, (kind, second_kind), min_accuracy=least)
        verdicts += judge.verdicts()
    write_records(stage.output("reports/judge/verdicts.jsonl"), verdicts)
    metrics = first.metrics(second)
    stage.write_json("reports/judge/gate.json", JudgeGate(trusted=metrics.measuring.problem is None).as_json())
    for warning in check_trust(metrics, below_min_accuracy=stage.params.judge.below_min_accuracy):
        print(f"warning: {warning}", flush=True)
    stage.write_json("reports/judge/metrics.json", metrics.as_json())
    stage.log_final(metrics.as_json())


if __name__ == "__main__":
    run_stage(main, description=__doc__)
