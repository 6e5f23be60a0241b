"""fit_judge: make the judge ready, and measure it on human labels that it has not seen."""

from typing import Any

from pipeline.data.records import read_records, write_records
from pipeline.evaluation.judge import judge_agreement, liked_and_disliked
from pipeline.evaluation.statistics import wilson_interval
from pipeline.judges.loading import open_chat_judge
from pipeline.judges.protocol import Judge
from pipeline.judges.reward_model import MODEL, save_reward_judge
from pipeline.judges.rules import ChatRules
from pipeline.judges.text_classifier import cut_windows, fit_judge
from pipeline.models.checkpoints import save_model
from pipeline.models.sources import load_source_reward_model
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage) -> None:
    """Write the judge that judge.kind names."""
    test = read_records(stage.input("artifacts/data/labels/test.jsonl"), fields=("text", "label"))
    verdicts: list[dict[str, Any]] = []
    if stage.params.judge.kind == "classifier":
        metrics = _fit_classifier(stage, test)
    else:
        pairs = liked_and_disliked(test, stage.params.judge.measured_pairs)
        texts = [text for pair in pairs for text in pair]
        judge = _describe_chat(stage) if stage.params.judge.kind == "chat" else _fetch_reward_model(stage, texts)
        metrics = judge_agreement(judge, pairs)
        verdicts = judge.verdicts()
    write_records(stage.output("reports/judge/verdicts.jsonl"), verdicts)
    stage.write_json("reports/judge/metrics.json", metrics)
    stage.log_final(metrics)


def _fit_classifier(stage: Stage, test: list[dict[str, Any]]) -> dict[str, Any]:
    """Fit, measure on the first window of every held-out text, save."""
    settings = stage.params.fit_judge
    train = read_records(stage.input("artifacts/data/labels/train.jsonl"), fields=("text", "label"))
    print(f"fitting on {len(train)} texts", flush=True)
    judge = fit_judge([row["text"] for row in train], [row["label"] for row in train], settings)
    judge.save(stage.output("artifacts/judge"))

    windows = [cut_windows(row["text"], words=settings.window_words, at_most=1)[0] for row in test]
    labels = [row["label"] for row in test]
    right = sum((score > 0.5) == bool(label) for score, label in zip(judge.score(windows), labels, strict=True))
    share = sum(labels) / len(labels)
    return {
        "held_out_accuracy": wilson_interval(int(right), len(test)),
        "majority_share": max(share, 1 - share),
        "texts": len(test),
    }


def _fetch_reward_model(stage: Stage, texts: list[str]) -> Judge:
    settings, folder = stage.params.judge.reward_model, stage.output("artifacts/judge")
    compute = stage.start_compute()
    network, tokenizer = load_source_reward_model(settings, key="judge.reward_model.source")
    save_model(network, tokenizer, folder / MODEL, with_code=settings.trust_remote_code)
    return save_reward_judge(folder, compute, texts, batch_size=settings.batch_size)


def _describe_chat(stage: Stage) -> Judge:
    rules = ChatRules.of(stage.params.judge.chat)
    rules.save(stage.output("artifacts/judge"))
    return open_chat_judge(rules, endpoint=stage.judge_endpoint, store=stage.verdict_store)


if __name__ == "__main__":
    run_stage(main, description=__doc__)
