"""The evaluator of the stages that measure policies, made ready once the memory is known to suffice."""

from dataclasses import replace
from pathlib import Path

from pipeline.evaluation.instruments import ChatAccess, InstrumentFolders, load_evaluator
from pipeline.evaluation.policy import Evaluator
from pipeline.memory.fitting import check_fit
from pipeline.memory.readings import Measured, stored_evaluation
from pipeline.models.compute import Compute
from pipeline.params.evaluation import Scoring
from pipeline.scripts.engine import sampling_engine
from pipeline.stage.execution import Stage


def open_evaluator(
    stage: Stage,
    compute: Compute,
    settings: Scoring,
    measured: Measured,
    *,
    section: str,
    second_judge: Path | None = None,
) -> Evaluator:
    """Judge, reward model and SFT policy, from the inputs of the stage that runs.

    Args:
        settings: the section of params.yaml that has batch size and resamples.
        section: its name, for an error about memory.
        second_judge: folder of the judge that measures beside the first one.

    Raises:
        PipelineError: the memory does not suffice, or reward model and policy were trained on texts of other formats.
    """
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    folders = InstrumentFolders(
        judge=stage.input("artifacts/evaluation_judge"),
        reward_model=stage.input("artifacts/inputs/ppo/reward_model"),
        reference=stage.input("artifacts/sft"),
        second_judge=second_judge,
    )
    models = folders.reference, folders.reward_model
    check_fit(stored_evaluation(section, models, measured, settings, stage.params.sampling), stage.params.runtime)
    evaluator = load_evaluator(
        folders,
        chat=ChatAccess(stage.judge_endpoint, stage.verdict_store),
        settings=settings,
        sampling=stage.params.sampling,
        compute=compute,
        seed=stage.params.seed,
        resume=stage.resume,
    )
    return replace(evaluator, engine=sampling_engine(stage, stage.params.sampling))
