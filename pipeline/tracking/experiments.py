"""The two experiments of MLflow: one of evaluated policies, which people compare, and one of all other stages."""

from pipeline.tracking.store import EXPERIMENT_ID, NOTE
from pipeline.tracking.tracker import Experiment
from pipeline.tracking.view import Mode, address, saved_view


def policies_experiment(name: str) -> Experiment:
    """The experiment with a run for each evaluated policy."""
    # links come first: the UI folds the rest, and would open the experiment on a page for traces
    text = (
        f"**[Table]({_link(Mode.TABLE)}) · [charts]({_link(Mode.CHARTS)}) · [samples]({_link(Mode.SAMPLES)}) of all "
        f"policies · [checkpoints](#/models/{name})**: what was varied beside judge score, win rate and KL.\n\n"
        "A run for each evaluated policy, with every parameter, dataset and cost behind it; its description links the "
        f"runs of its stages, which are in the experiment {name}-stages."
    )
    return Experiment(name, {NOTE: text, **dict([saved_view()])})


def stages_experiment(name: str) -> Experiment:
    """The experiment with a run for each execution of another stage."""
    text = f"A run for each execution of a stage that evaluates no policy; policies are in the experiment {name}."
    return Experiment(f"{name}-stages", {NOTE: text})


def _link(mode: Mode) -> str:
    return address("", EXPERIMENT_ID, mode).removeprefix("/")
