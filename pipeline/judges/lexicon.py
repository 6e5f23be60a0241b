"""A judge that is fitted on nothing: words whose sentiment people rated, and rules of grammar (VADER).

Hutto and Gilbert 2014, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text". It knows
how liked or disliked a text sounds, so it can be right only where that is what people preferred.
"""

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from pipeline.data.passages import Passage
from pipeline.errors import PipelineError
from pipeline.judges.pointwise import PointwiseJudge

KIND = "lexicon"
_PACKAGE = "vaderSentiment"


def save_lexicon_judge(folder: Path) -> PointwiseJudge:
    """Write which version of the lexicon is used; the words themselves are in an installed package."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"kind": KIND, "package": _PACKAGE, "version": version(_PACKAGE)}
    (folder / "judge.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
    return load_lexicon_judge(folder)


def load_lexicon_judge(folder: Path) -> PointwiseJudge:
    """A judge that `save_lexicon_judge` wrote.

    Its score of a text is (1 + compound) / 2, with VADER's compound sentiment in [-1, 1]: 0.5 for a text without a word
    of the lexicon.

    Raises:
        PipelineError: another version of the package is installed.
    """
    wanted, found = json.loads((folder / "judge.json").read_text())["version"], version(_PACKAGE)
    if wanted != found:
        raise PipelineError(
            f"{folder} is the lexicon of {_PACKAGE} {wanted}, and {found} is installed. Run `make setup`, or "
            "`dvc repro --force fit_judge` to measure with the new one."
        )
    analyzer = SentimentIntensityAnalyzer()

    def compound(passages: Sequence[Passage]) -> np.ndarray:
        return np.array([analyzer.polarity_scores(one.text)["compound"] for one in passages], dtype=np.float64)

    return PointwiseJudge(compound, lambda scores: (1.0 + scores) / 2.0)
