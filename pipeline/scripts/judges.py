"""The judges of fit_judge that are taken as they are: a lexicon, a reward model, a chat model."""

from pipeline.judges.finished import FinishedJudges
from pipeline.models.text_format import read_text_format
from pipeline.stage.execution import Stage


def finished_judges(stage: Stage) -> FinishedJudges:
    """The judges that `judge` in params.yaml names; a model is loaded when its judge is saved."""
    return FinishedJudges(
        chat=stage.params.judge.chat,
        reward_model=stage.params.judge.reward_model,
        endpoint=stage.judge_endpoint,
        store=stage.verdict_store,
        start_compute=stage.start_compute,
        text_format=read_text_format(stage.input("artifacts/data/text_format.json")),
    )
