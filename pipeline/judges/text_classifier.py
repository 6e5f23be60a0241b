"""A judge fitted on human labels: TF-IDF features and a logistic regression, from scikit-learn."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from pipeline.data.table_rows import LabelRow
from pipeline.errors import PipelineError
from pipeline.judges.pointwise import PointwiseJudge
from pipeline.models.folders import check_weights
from pipeline.params.schema import FitJudge

KIND = "text_classifier"
_FEATURES = 2**18


class TextClassifierJudge:
    """Scores a text with the probability, in [0, 1], that people would label it 1."""

    def __init__(self, *, ngram_max: int, idf: np.ndarray, weights: np.ndarray, bias: float) -> None:
        self._ngram_max = ngram_max
        self._vectorizer = _vectorizer(ngram_max)
        self._tfidf = TfidfTransformer(sublinear_tf=True)
        self._tfidf.idf_ = idf
        self._weights = weights
        self._bias = bias

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Probability of label 1, shape (len(texts),)."""
        if not texts:
            return np.zeros(0)
        features = self._tfidf.transform(self._vectorizer.transform(texts))
        return 1.0 / (1.0 + np.exp(-(features @ self._weights + self._bias)))

    def as_judge(self) -> PointwiseJudge:
        """A judge of passages that reads their texts alone: whether a response ended does not matter."""
        return PointwiseJudge(lambda passages: self.score([one.text for one in passages]))

    def save(self, folder: Path) -> None:
        """Write arrays and JSON; no pickle, because loading one runs code."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"idf": self._tfidf.idf_, "weights": self._weights, "bias": np.array([self._bias])}
        save_file(arrays, folder / "judge.safetensors")
        (folder / "judge.json").write_text(json.dumps({"kind": KIND, "ngram_max": self._ngram_max}) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "TextClassifierJudge":
        """A judge that `save` wrote."""
        check_weights(folder)
        arrays = load_file(folder / "judge.safetensors")
        ngram_max = json.loads((folder / "judge.json").read_text())["ngram_max"]
        return cls(ngram_max=ngram_max, idf=arrays["idf"], weights=arrays["weights"], bias=float(arrays["bias"][0]))


def fit_judge(texts: Sequence[str], labels: Sequence[int], settings: FitJudge) -> TextClassifierJudge:
    """Fit a judge on windows of the texts, each with its text's label, because the judge reads short continuations.

    One thread fits: the number of threads decides the last digits of sums, and depends on the machine and the shell.

    Raises:
        PipelineError: only one label occurs.
    """
    if len(set(labels)) < 2:
        raise PipelineError(f"the judge's labels are all {sorted(set(labels))}; it needs texts labelled 0 and 1.")
    windows = [
        (window, label)
        for text, label in zip(texts, labels, strict=True)
        for window in cut_windows(text, words=settings.window_words, at_most=settings.windows_per_text)
    ]
    counts = _vectorizer(settings.ngram_max).transform([window for window, _ in windows])
    tfidf = TfidfTransformer(sublinear_tf=True).fit(counts)
    model = LogisticRegression(C=settings.inverse_regularization, max_iter=300)
    with threadpool_limits(limits=1):
        model.fit(tfidf.transform(counts), [label for _, label in windows])
    return TextClassifierJudge(
        ngram_max=settings.ngram_max, idf=tfidf.idf_, weights=model.coef_[0], bias=float(model.intercept_[0])
    )


def check_labels(train: Sequence[Any], test: Sequence[Any]) -> None:
    """Check that the data has labels to fit a classifier on, and labels to measure it on.

    Raises:
        PipelineError: the data has none to fit on, or none to measure on.
    """
    if not train or not test:
        raise PipelineError(
            f"judge.kind is classifier, which is fitted on human labels, and the data has {len(train)} to fit it and "
            f"{len(test)} to measure it. Set judge.kind to chat or reward_model, or give data.splits.judge a share."
        )


def fit_judges(rows: Sequence[LabelRow], settings: FitJudge) -> list[tuple[TextClassifierJudge, int]]:
    """The judge that ranks training pairs and the one that measures policies, each with the texts it was fitted on.

    Args:
        rows: the labels for fitting; each judge learns from half of them, or both from all where
            `settings.independent` is false.

    Raises:
        PipelineError: the labels are too few, or all the same.
    """
    judges = []
    for half in split_labels(rows) if settings.independent else (rows, rows):
        print(f"fitting on {len(half)} texts", flush=True)
        judges.append((fit_judge([row["text"] for row in half], [row["label"] for row in half], settings), len(half)))
    return judges


def split_labels(rows: Sequence[LabelRow]) -> tuple[list[LabelRow], list[LabelRow]]:
    """Two halves by the record ids, so that the texts of one record stay together and new rows move no old one.

    Raises:
        PipelineError: a half does not hold both labels.
    """
    first, second = ([row for row in rows if int(row["id"], 16) % 2 == half] for half in (0, 1))
    for half in (first, second):
        if len({row["label"] for row in half}) < 2:
            raise PipelineError(
                f"{len(rows)} labels are too few for two judges: half of them do not hold both labels. Add labelled "
                "texts, or set fit_judge.independent to false, which lets one judge rank pairs and measure policies."
            )
    return first, second


def cut_windows(text: str, *, words: int, at_most: int) -> list[str]:
    """The first `at_most` windows of `words` words."""
    split = text.split()
    return [" ".join(split[start : start + words]) for start in range(0, len(split), words)][:at_most]


def _vectorizer(ngram_max: int) -> HashingVectorizer:
    # hashed features need no vocabulary, which would have to be stored
    return HashingVectorizer(n_features=_FEATURES, ngram_range=(1, ngram_max), alternate_sign=False, norm=None)
