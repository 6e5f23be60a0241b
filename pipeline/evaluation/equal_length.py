"""The win rate that a policy would have with responses as long as the baseline's.

The model is that of length-controlled AlpacaEval (arXiv:2404.04475, section 3), without its difficulties of
instructions: `logit P(win) = theta + phi * tanh(d / sd(d))`, and at no difference in length `sigmoid(theta)` is left.
AlpacaEval's own fit (`length_control.py`) penalises theta, too: of few prompts it may return exactly a half, whatever
the wins say. Here theta is free. phi has a normal prior (a ridge), so it stays finite where length alone decides.
"""

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from pipeline.evaluation.statistics import FEWEST, Z_95
from pipeline.results.document import Interval

PRIOR_SD = 2.5
"""Standard deviation of the prior of phi, in logits: the scale of Gelman et al. 2008 (arXiv:0901.4011) for a
coefficient of a standardised input.
It matters where nearly all differences have one sign: what is length and what is quality cannot be told apart there,
and only the prior says how much length may explain. With a standard deviation of 1 the interval holds the true value
in 74 % of such cases, with 2.5 in 96 % (differences two standard deviations above 0, phi 2, 40 prompts)."""
_RIDGE = PRIOR_SD**-2
_FARTHEST = 30.0
"""Logits within which theta is sought; beyond them a share is 0 or 1 to 13 digits."""


def win_rate_at_equal_length(wins: np.ndarray, differences: np.ndarray) -> Interval | None:
    """`sigmoid(theta)`, a share, with its 95 % score interval.

    The interval holds each theta that a score test (Rao 1948) does not refuse, with phi fitted anew for each of them.
    Where length explains nothing this is the Wilson interval, number for number. A bootstrap knows nothing of losses
    where there are none: of a policy that won everywhere, each draw did. As in Wilson's a tie counts as half a win and
    has the variance of a coin thrown for it, so with many ties the interval is rather too wide.

    Args:
        wins: (N,) 1 where the policy wins, 0.5 at a tie, 0 where it loses; one value a prompt.
        differences: (N,) of the lengths of its responses and the baseline's, in any unit and of either sign.

    Returns:
        None with fewer than `FEWEST` prompts, where all responses differ by the same length, or where all are longer
        than the baseline's, or all shorter: what would be at no difference is then beyond all that was seen. The mean
        is 0 or 1 where there is no win or no loss.
    """
    known = len(wins) >= FEWEST and np.ptp(differences) > 0 and np.min(differences) <= 0 <= np.max(differences)
    if not known:
        return None
    shares, scaled = np.asarray(wins, dtype=np.float64), np.asarray(differences, dtype=np.float64)
    feature = np.tanh(scaled / scaled.std(ddof=1))
    mean, low, high = (_share_with_score(level, shares, feature) for level in (0.0, Z_95, -Z_95))
    return Interval(mean=mean, low=low, high=high)


def _share_with_score(level: float, shares: np.ndarray, feature: np.ndarray) -> float:
    """sigmoid of the theta whose standardised score is `level`: at 0 the most probable one."""

    def beyond(theta: float) -> float:
        return _standard_score(theta, shares, feature) - level

    if beyond(-_FARTHEST) <= 0:
        return 0.0
    if beyond(_FARTHEST) >= 0:
        return 1.0
    return float(expit(brentq(beyond, -_FARTHEST, _FARTHEST, xtol=1e-9)))


def _standard_score(theta: float, shares: np.ndarray, feature: np.ndarray) -> float:
    """Wins beyond those that theta expects, with phi fitted to it, over their standard deviation: z of the test."""
    logits = theta + _fit_phi(theta, shares, feature) * feature
    # 1 - expit(x) would round to 0 far out
    weights = expit(logits) * expit(-logits)
    shared = float(weights @ feature) ** 2 / (float(weights @ feature**2) + _RIDGE)
    return float((shares - expit(logits)).sum()) / math.sqrt(weights.sum() - shared)


def _fit_phi(theta: float, shares: np.ndarray, feature: np.ndarray) -> float:
    """The most probable phi where theta is known: the root of a slope that rises, so there is one."""

    def slope(phi: float) -> float:
        return _RIDGE * phi - float(feature @ (shares - expit(theta + phi * feature)))

    limit = float(np.abs(feature).sum()) / _RIDGE + 1.0
    return brentq(slope, -limit, limit, xtol=1e-9)
