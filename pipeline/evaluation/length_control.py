"""The win rate that a model would have with outputs as long as the baseline's.

AlpacaEval (arXiv:2404.04475, section 3; alpaca_eval/metrics/glm_winrate.py) fits a logistic regression of the
preference and asks it about no difference in length. Its leaderboard's model, `length_controlled_v1`, also has a
difficulty for each of its own 805 instructions, fitted on other models' results. This is `length_controlled_minimal`,
which needs neither and so takes any instructions: its numbers are not those of the leaderboard.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

GLM_NAME = "length_controlled_minimal"
FOLDS = 5
STRENGTHS = np.logspace(-4, 4, 10)
"""Inverse strengths of the L1 penalty that cross-validation chooses from, scikit-learn's own."""


def length_controlled_winrate(preferences: Sequence[float | None], outputs: Sequence[tuple[str, str]]) -> float | None:
    """`100 * sigmoid(theta)` of `logit P(model wins) = phi * tanh(d / sd(d)) + theta`, in percent.

    d is the characters of the baseline's output minus those of the model's. phi and theta are fitted by logistic
    regression with an L1 penalty, whose strength cross-validation chooses; on a few dozen rows it may choose one that
    pulls theta to 0, which is 50 %.

    Args:
        preferences: 1 to 2; None is left out.
        outputs: of the baseline and of the model, for each preference.

    Returns:
        None with fewer than `FOLDS` preferences, or where all outputs differ by the same length.
    """
    known = [(one - 1.0, len(base) - len(ours)) for one, (base, ours) in zip(preferences, outputs, strict=True) if one]
    if len(known) < FOLDS or len({difference for _, difference in known}) == 1:
        return None
    shares, differences = np.array(known, dtype=np.float64).T
    features = np.stack([np.tanh(differences / differences.std(ddof=1)), np.ones(len(differences))], axis=1)
    losses = [_held_out_loss(features, shares, strength) for strength in STRENGTHS]
    model = _fit(features, shares, float(STRENGTHS[int(np.argmin(losses))]))
    # at no difference in length only theta is left
    return float(100 * model.predict_proba(np.array([[0.0, 1.0]]))[0, 1])


def _held_out_loss(features: np.ndarray, shares: np.ndarray, strength: float) -> float:
    """Mean over the folds of the log loss on the fold that was left out, in nats."""
    folds = GroupKFold(n_splits=FOLDS).split(features, groups=np.arange(len(shares)))
    return float(np.mean([_loss(_fit(features[a], shares[a], strength), features[b], shares[b]) for a, b in folds]))


def _loss(model: LogisticRegression, features: np.ndarray, shares: np.ndarray) -> float:
    predicted = np.clip(model.predict_proba(features)[:, 1], 1e-15, 1 - 1e-15)
    return float(-np.mean(shares * np.log(predicted) + (1 - shares) * np.log(1 - predicted)))


def _fit(features: np.ndarray, shares: np.ndarray, strength: float) -> LogisticRegression:
    """A row counts twice: as a win with its share, and as a loss with the rest."""
    # a class without any weight would be no class to the solver
    shares = np.clip(shares, 1e-6, 1 - 1e-6)
    model = LogisticRegression(C=strength, l1_ratio=1.0, solver="liblinear", fit_intercept=False, random_state=123)
    labels = np.concatenate([np.ones(len(shares)), np.zeros(len(shares))])
    return model.fit(np.tile(features, (2, 1)), labels, sample_weight=np.concatenate([shares, 1 - shares]))
