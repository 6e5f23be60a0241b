"""Names of the objectives that params.yaml chooses from, where no tensor library is imported."""

from typing import Literal

DpoLossName = Literal["sigmoid", "robust", "ipo", "hinge", "sigmoid_norm", "simpo"]
KlEstimator = Literal["k1", "k2", "k3"]
UnfinishedMode = Literal["none", "replace", "subtract"]
