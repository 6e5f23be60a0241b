"""fit_judge: fit the judge on human labels, and measure it on labels that it has not seen."""

from pipeline.data.records import read_records
from pipeline.evaluation.statistics import wilson_interval
from pipeline.judges.text_classifier import cut_windows, fit_judge
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage) -> None:
    """Fit, measure on the first window of every held-out text, save."""
    settings = stage.params.fit_judge
    train = read_records(stage.input("artifacts/data/labels/train.jsonl"), fields=("text", "label"))
    test = read_records(stage.input("artifacts/data/labels/test.jsonl"), fields=("text", "label"))
    print(f"fitting on {len(train)} texts", flush=True)
    judge = fit_judge([row["text"] for row in train], [row["label"] for row in train], settings)
    judge.save(stage.output("artifacts/judge"))

    windows = [cut_windows(row["text"], words=settings.window_words, at_most=1)[0] for row in test]
    labels = [row["label"] for row in test]
    right = sum((score > 0.5) == bool(label) for score, label in zip(judge.score(windows), labels, strict=True))
    share = sum(labels) / len(labels)
    metrics = {
        "held_out_accuracy": wilson_interval(int(right), len(test)),
        "majority_share": max(share, 1 - share),
        "texts": len(test),
    }
    stage.write_json("reports/judge/metrics.json", metrics)
    stage.log_final(metrics)


if __name__ == "__main__":
    run_stage(main, description=__doc__)
