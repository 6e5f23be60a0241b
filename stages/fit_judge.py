"""fit_judge: make the judges ready, and measure them on human labels that they have not seen."""

import shutil
from typing import Any

from pipeline.data.passages import Passage
from pipeline.data.records import read_records, write_records
from pipeline.errors import PipelineError
from pipeline.evaluation.judge import classifier_accuracy, classifier_agreement, judge_agreement, liked_and_disliked
from pipeline.judges.loading import open_chat_judge
from pipeline.judges.protocol import Judge
from pipeline.judges.reward_model import MODEL, save_reward_judge
from pipeline.judges.rules import ChatRules
from pipeline.judges.text_classifier import TextClassifierJudge, fit_judge, split_labels
from pipeline.models.checkpoints import save_model
from pipeline.models.sources import load_source_reward_model
from pipeline.models.text_format import read_text_format, store_text_format
from pipeline.params.schema import FitJudge
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage) -> None:
    """Write the judge that ranks training pairs, of the kind judge.kind, and the one that measures policies."""
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
        shutil.copytree(stage.output("artifacts/judge"), stage.output("artifacts/evaluation_judge"))
    write_records(stage.output("reports/judge/verdicts.jsonl"), verdicts)
    stage.write_json("reports/judge/metrics.json", metrics)
    stage.log_final(metrics)


def _fit_classifier(stage: Stage, test: list[dict[str, Any]]) -> dict[str, Any]:
    """Fit, measure, save; a second judge from the labels that the first one has not seen."""
    settings = stage.params.fit_judge
    train = read_records(stage.input("artifacts/data/labels/train.jsonl"), fields=("id", "text", "label"))
    if not train or not test:
        raise PipelineError(
            f"judge.kind is classifier, which is fitted on human labels, and the data has {len(train)} to fit it and "
            f"{len(test)} to measure it. Set judge.kind to chat or reward_model, or give data.splits.judge a share."
        )
    halves = split_labels(train) if settings.independent else (train, train)
    judge, other = (_fit(half, settings) for half in halves)
    judge.save(stage.output("artifacts/judge"))
    other.save(stage.output("artifacts/evaluation_judge"))
    metrics, second = (classifier_accuracy(one, test, settings) for one in (judge, other))
    if not settings.independent:
        return metrics
    return {**metrics, "evaluation": {**second, "agreement": classifier_agreement(judge, other, test, settings)}}


def _fit(rows: list[dict[str, Any]], settings: FitJudge) -> TextClassifierJudge:
    print(f"fitting on {len(rows)} texts", flush=True)
    return fit_judge([row["text"] for row in rows], [row["label"] for row in rows], settings)


def _fetch_reward_model(stage: Stage, texts: list[Passage]) -> Judge:
    settings, folder = stage.params.judge.reward_model, stage.output("artifacts/judge")
    compute = stage.start_compute()
    network, tokenizer = load_source_reward_model(settings, key="judge.reward_model.source")
    save_model(network, tokenizer, folder / MODEL, with_code=settings.trust_remote_code)
    store_text_format(folder / MODEL, read_text_format(stage.input("artifacts/data/text_format.json")))
    return save_reward_judge(folder, compute, texts, batch_size=settings.batch_size)


def _describe_chat(stage: Stage) -> Judge:
    rules = ChatRules.of(stage.params.judge.chat)
    rules.save(stage.output("artifacts/judge"))
    return open_chat_judge(rules, endpoint=stage.judge_endpoint, store=stage.verdict_store)


if __name__ == "__main__":
    run_stage(main, description=__doc__)
