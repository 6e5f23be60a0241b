"""Temperature scaling: one temperature that calibrates the confidence of a reward model."""

import math

import numpy as np
from scipy.optimize import minimize_scalar

LARGEST = 100.0
"""Temperatures are searched from the mean size of the margins divided by this to that size times this."""


def bradley_terry_nll(margins: np.ndarray, *, temperature: float = 1.0) -> float:
    """Mean of -log sigmoid(margin / temperature), in nats.

    Args:
        margins: (N,), chosen minus rejected score, N > 0.
    """
    return float(np.logaddexp(0.0, -margins / temperature).mean())


def fit_temperature(margins: np.ndarray) -> tuple[float, bool]:
    """The temperature that makes these pairs most probable (Guo et al. 2017, arXiv:1706.04599, section 4.2).

    The loss is convex in 1 / temperature, so there is one best. Margins that are all positive want it at 0, and those
    of a model no better than a coin want it infinite: the limit is returned then.

    Args:
        margins: (N,), N > 0, of pairs that nothing else is measured on.

    Returns:
        The temperature, and whether it is at a limit, where it says nothing.
    """
    scale = float(np.abs(margins).mean())
    if scale == 0:
        return 1.0, True
    limit = math.log(LARGEST)
    found = minimize_scalar(
        lambda log: bradley_terry_nll(margins, temperature=scale * math.exp(log)),
        bounds=(-limit, limit),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return scale * math.exp(found.x), bool(abs(found.x) > limit - 1e-3)
