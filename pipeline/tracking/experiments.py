"""The two experiments of MLflow: policies, which people compare, and the stages behind them."""

from pipeline.tracking.tracker import Experiment
from pipeline.tracking.view import saved_view

_NOTE = "mlflow.note.content"


def policies_experiment(name: str) -> Experiment:
    """A run for each evaluated policy."""
    text = (
        "A run for each evaluated policy, with every parameter, dataset and cost behind it. The view *Policies* (under "
        "Views) shows judge score, win rate and KL against what was varied; a run's description links its stages."
    )
    return Experiment(name, {_NOTE: text, **dict([saved_view()])})


def stages_experiment(name: str) -> Experiment:
    """A run for each execution of another stage."""
    text = "A run for each execution of a stage that evaluates no policy: training, validation, report."
    return Experiment(f"{name}-stages", {_NOTE: text})
