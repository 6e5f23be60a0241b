"""fit_judge: make the judges ready, measure them on human labels that they have not seen, and say whom to trust."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.records import read_records, write_records
from pipeline.errors import PipelineError
from pipeline.evaluation.judge import (
    chosen_and_rejected,
    judge_problem,
    liked_and_disliked,
    pair_metrics,
    prompts_of_pairs,
    prompts_of_texts,
    right_about_pairs,
    right_about_texts,
    shared_errors,
    text_metrics,
)
from pipeline.judges.lexicon import save_lexicon_judge
from pipeline.judges.loading import open_chat_judge
from pipeline.judges.protocol import Judge, VerdictRecord
from pipeline.judges.reward_model import MODEL, save_reward_judge
from pipeline.judges.rules import ChatRules
from pipeline.judges.text_classifier import TextClassifierJudge, fit_judge, split_labels
from pipeline.models.checkpoints import save_model
from pipeline.models.sources import load_source_reward_model
from pipeline.models.text_format import read_text_format, store_text_format
from pipeline.params.schema import FitJudge
from pipeline.stage.run import Stage, run_stage

Rows = list[dict[str, Any]]
_OF_TEXTS = ("classifier", "lexicon")
"""Judges that are right or wrong about a single text; the others compare two."""
_FAMILIES = {
    "classifier": ("linear classifier of words", "human labels of the data"),
    "lexicon": ("sentiment lexicon", "no labels of the data: words that people rated (VADER)"),
    "reward_model": ("reward model", "nothing here: taken as it is"),
    "chat": ("chat model", "nothing here: taken as it is"),
}
"""Of each kind of judge: its family, and what it was fitted on."""


def main(stage: Stage) -> None:
    """Write the judge that ranks training pairs, the one that measures policies, and the second that measures again."""
    kind = stage.params.judge.kind
    test = read_records(stage.input("artifacts/data/labels/test.jsonl"), fields=("id", "text", "label"))
    verdicts: list[VerdictRecord] = []
    if kind == "classifier":
        metrics, measuring = _fit_classifiers(stage, test)
    else:
        folder = stage.output("artifacts/judge")
        measuring = _finished_judge(stage, kind, folder, test)
        metrics, _ = _measure(stage, measuring, kind, test)
        metrics |= _described(kind)
        verdicts = measuring.verdicts()
        shutil.copytree(folder, stage.output("artifacts/evaluation_judge"))
    second, said = _second_judge(stage, measuring, test)
    metrics |= {"second": second}
    write_records(stage.output("reports/judge/verdicts.jsonl"), verdicts + said)
    _guard(stage, metrics)
    stage.write_json("reports/judge/metrics.json", metrics)
    stage.log_final(metrics)


def _fit_classifiers(stage: Stage, test: Rows) -> tuple[dict[str, Any], Judge]:
    """Fit, measure, save; a second judge from the labels that the first one has not seen."""
    settings = stage.params.fit_judge
    train = read_records(stage.input("artifacts/data/labels/train.jsonl"), fields=("id", "text", "label"))
    if not train or not test:
        raise PipelineError(
            f"judge.kind is classifier, which is fitted on human labels, and the data has {len(train)} to fit it and "
            f"{len(test)} to measure it. Set judge.kind to chat or reward_model, or give data.splits.judge a share."
        )
    halves = split_labels(train) if settings.independent else (train, train)
    fitted = [_fit(half, settings) for half in halves]
    for judge, name in zip(fitted, ("judge", "evaluation_judge"), strict=True):
        judge.save(stage.output(f"artifacts/{name}"))
    ranking, measuring = (judge.as_judge() for judge in fitted)
    metrics, right = _measure(stage, ranking, "classifier", test)
    metrics |= _described("classifier", labels=len(halves[0]))
    if not settings.independent:
        return metrics, measuring
    other, right_too = _measure(stage, measuring, "classifier", test)
    other |= _described("classifier", labels=len(halves[1])) | shared_errors(right_too, right)
    return {**metrics, "evaluation": other}, measuring


def _described(kind: str, labels: int | None = None) -> dict[str, Any]:
    family, source = _FAMILIES[kind]
    return {"kind": kind, "family": family, "fitted_on": source if labels is None else f"{labels} {source}"}


def _fit(rows: Rows, settings: FitJudge) -> TextClassifierJudge:
    print(f"fitting on {len(rows)} texts", flush=True)
    return fit_judge([row["text"] for row in rows], [row["label"] for row in rows], settings)


def _finished_judge(stage: Stage, kind: str, folder: Path, test: Rows) -> Judge:
    """A lexicon, a reward model or a chat model, which are taken as they are."""
    if kind == "lexicon":
        return save_lexicon_judge(folder)
    if kind == "chat":
        rules = ChatRules.of(stage.params.judge.chat)
        rules.save(folder)
        return open_chat_judge(rules, endpoint=stage.judge_endpoint, store=stage.verdict_store)
    model, compute = stage.params.judge.reward_model, stage.start_compute()
    network, tokenizer = load_source_reward_model(model, key="judge.reward_model.source")
    save_model(network, tokenizer, folder / MODEL, with_code=model.trust_remote_code)
    store_text_format(folder / MODEL, read_text_format(stage.input("artifacts/data/text_format.json")))
    texts = [text for pair in liked_and_disliked(test, stage.params.judge.measured_pairs) for text in pair]
    return save_reward_judge(folder, compute, texts, batch_size=model.batch_size)


def _measure(stage: Stage, judge: Judge, kind: str, test: Rows) -> tuple[dict[str, Any], np.ndarray]:
    """Accuracy, and where the judge is right: on the test texts, or where it compares two, on pairs of them.

    On the pairs that labels were made of, whatever the judge: what they share, the prompt, says nothing of either.
    """
    if kind in _OF_TEXTS and (given := chosen_and_rejected(test)) is not None:
        right = right_about_pairs(judge, given)
        return pair_metrics(right, prompts_of_pairs(test, len(given))), right
    if kind in _OF_TEXTS:
        right = right_about_texts(judge, test, window_words=stage.params.fit_judge.window_words)
        return text_metrics(right, [row["label"] for row in test], prompts_of_texts(test)), right
    right = right_about_pairs(judge, liked_and_disliked(test, stage.params.judge.measured_pairs))
    counts = judge.counts()
    return {
        **pair_metrics(right, prompts_of_pairs(test, len(right))),
        **({"verdicts": counts} if counts else {}),
    }, right


def _second_judge(stage: Stage, measuring: Judge, test: Rows) -> tuple[dict[str, Any] | None, list[VerdictRecord]]:
    """The judge of another family, measured on the same texts or pairs as the first; nothing where it is none."""
    kind, folder = stage.params.judge.second, stage.output("artifacts/second_judge")
    if kind == "none":
        folder.mkdir(parents=True)
        (folder / "judge.json").write_text(json.dumps({"kind": "none"}) + "\n")
        return None, []
    second = _finished_judge(stage, kind, folder, test)
    # one that compares two texts can be set beside another only on pairs
    unit = "classifier" if {stage.params.judge.kind, kind} <= set(_OF_TEXTS) else "pairs"
    (first, right), (found, right_too) = (_measure(stage, judge, unit, test) for judge in (measuring, second))
    shared = {"first_accuracy": first["held_out_accuracy"], **shared_errors(right, right_too)}
    problem: str | None = "measured on nothing: the data has no labels"
    if found["texts"]:
        problem = judge_problem(found, min_accuracy=stage.params.judge.min_accuracy)
    return {**found, **_described(kind), **shared, "problem": problem}, second.verdicts()


def _guard(stage: Stage, metrics: dict[str, Any]) -> None:
    """Say, and where it is wished for refuse to go on, when a judge that ranks or measures is not worth trust.

    Raises:
        PipelineError: it is not, and `judge.below_min_accuracy` is stop.
    """
    least = stage.params.judge.min_accuracy
    metrics["problem"] = judge_problem(metrics, min_accuracy=least)
    found = {"ranks pairs": metrics["problem"]}
    if "evaluation" in metrics:
        problem = judge_problem(metrics["evaluation"], min_accuracy=least)
        metrics["evaluation"]["problem"] = found["measures policies"] = problem
    stage.write_json("reports/judge/gate.json", {"trusted": _measures(metrics)["problem"] is None})
    for role, problem in found.items():
        if problem is None:
            continue
        told = f"the judge that {role if 'evaluation' in metrics else 'ranks pairs and measures policies'} is {problem}"
        if stage.params.judge.below_min_accuracy == "stop":
            raise PipelineError(
                f"{told}. Take a better judge (judge.kind), give it more labels (data.splits.judge), lower the limit, "
                "or set judge.below_min_accuracy to flag to go on with a warning."
            )
        print(f"warning: {told}: no verdict rests on it", flush=True)
    if metrics["second"] and metrics["second"]["problem"]:
        print(
            f"warning: the second judge (judge.second) is {metrics['second']['problem']}: it confirms nothing",
            flush=True,
        )


def _measures(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of the judge that measures policies."""
    return metrics.get("evaluation", metrics)


if __name__ == "__main__":
    run_stage(main, description=__doc__)
