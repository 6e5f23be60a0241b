"""The judge: it learns the words, its scores are probabilities, and it is on disk what it was in memory."""

from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from pipeline.errors import PipelineError
from pipeline.judges.text_classifier import TextClassifierJudge, cut_windows, fit_judge
from pipeline.params.schema import FitJudge
from pipeline.project.hashing import content_hash

SETTINGS = FitJudge(independent=True, window_words=4, windows_per_text=2, ngram_max=2, inverse_regularization=1.0)
GOOD = ["clever and funny film", "a great clever story", "funny and great music"]
BAD = ["dull and boring film", "a weak boring story", "weak and dull music"]


@pytest.fixture
def judge() -> TextClassifierJudge:
    return fit_judge(GOOD + BAD, [1] * 3 + [0] * 3, SETTINGS)


def test_it_ranks_texts_it_has_not_seen(judge: TextClassifierJudge) -> None:
    good, bad, neither = judge.score(["funny story", "boring music", "zebra"])
    assert bad < neither < good
    assert bad > 0 and good < 1
    # the labels are balanced, and unknown words say nothing
    assert neither == pytest.approx(0.5, abs=0.1)


def test_scores_do_not_depend_on_the_other_texts(judge: TextClassifierJudge) -> None:
    together = judge.score(GOOD + BAD)
    assert together.shape == (6,)
    assert together == pytest.approx([judge.score([text])[0] for text in GOOD + BAD])
    assert judge.score([]).shape == (0,)
    assert np.isfinite(judge.score(["", "\n"])).all()


def test_flipped_labels_flip_the_scores(judge: TextClassifierJudge) -> None:
    flipped = fit_judge(GOOD + BAD, [0] * 3 + [1] * 3, SETTINGS)
    assert flipped.score(GOOD + BAD) == pytest.approx(1 - judge.score(GOOD + BAD), abs=1e-4)


def test_a_saved_judge_gives_the_same_scores(judge: TextClassifierJudge, tmp_path: Path) -> None:
    judge.save(tmp_path / "judge")
    loaded = TextClassifierJudge.load(tmp_path / "judge")
    assert np.array_equal(loaded.score(GOOD + BAD), judge.score(GOOD + BAD))
    assert {path.suffix for path in (tmp_path / "judge").iterdir()} == {".json", ".safetensors"}


def test_fitting_again_gives_the_same_bytes(judge: TextClassifierJudge, tmp_path: Path) -> None:
    judge.save(tmp_path / "first")
    fit_judge(GOOD + BAD, [1] * 3 + [0] * 3, SETTINGS).save(tmp_path / "second")
    assert content_hash(tmp_path / "first") == content_hash(tmp_path / "second")


@pytest.mark.parametrize("labels", [[1, 1], [0, 0], []])
def test_one_label_alone_is_refused(labels: list[int]) -> None:
    with pytest.raises(PipelineError, match="labelled 0 and 1"):
        fit_judge(GOOD[: len(labels)], labels, SETTINGS)


def test_windows_by_hand() -> None:
    assert cut_windows("a b c  d\ne", words=2, at_most=8) == ["a b", "c d", "e"]
    assert cut_windows("a b c d e", words=2, at_most=1) == ["a b"]
    assert cut_windows("", words=2, at_most=1) == []


def test_only_the_first_windows_of_a_text_are_learned() -> None:
    tail = FitJudge(independent=True, window_words=2, windows_per_text=1, ngram_max=1, inverse_regularization=1.0)
    judge = fit_judge(["fine film dreadful", "bad film splendid"], [1, 0], tail)
    splendid, dreadful = judge.score(["splendid", "dreadful"])
    assert splendid == pytest.approx(dreadful)


def test_bytes_do_not_depend_on_how_many_threads_the_shell_allows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(f"word{number}" for number in rng.integers(0, 3000, 12)) for _ in range(400)]
    labels = [int(label) for label in rng.integers(0, 2, len(texts))]
    for threads in (1, 2):
        with threadpool_limits(limits=threads):
            fit_judge(texts, labels, SETTINGS).save(tmp_path / str(threads))
    assert content_hash(tmp_path / "1") == content_hash(tmp_path / "2")
