"""The instruments that policies are measured with, from the folders that stages wrote."""

from pathlib import Path
from typing import NamedTuple

from pipeline.evaluation.policy import Evaluator
from pipeline.judges.loading import load_judge, load_second_judge
from pipeline.models.compute import Compute
from pipeline.models.policy import load_policy, load_tokenizer
from pipeline.models.reward_loading import load_reward_model
from pipeline.models.text_format import FILE, check_same_texts, read_text_format
from pipeline.params.evaluation import Measuring, Scoring
from pipeline.params.judge import JudgeEndpoint
from pipeline.params.schema import Sampling
from pipeline.resume import Resume


class InstrumentFolders(NamedTuple):
    """Folders of the models that policies are measured with."""

    judge: Path
    reward_model: Path
    """The one that PPO optimises, which may be a third-party one."""
    reference: Path
    """The SFT policy."""
    second_judge: Path | None = None
    """The folder of the second judge, which may say that there is none; None in a stage that uses none."""


class ChatAccess(NamedTuple):
    """How a judge that is a chat model is asked."""

    endpoint: JudgeEndpoint
    store: Path
    """Folder of the replies that were given before."""


def load_evaluator(
    folders: InstrumentFolders,
    *,
    chat: ChatAccess,
    settings: Scoring,
    sampling: Sampling,
    compute: Compute,
    seed: int,
    resume: Resume | None = None,
) -> Evaluator:
    """The evaluator of these instruments.

    Raises:
        PipelineError: reward model and policy were trained on texts of different formats.
    """
    reference = folders.reference
    check_same_texts(reference, folders.reward_model)
    second = None
    if folders.second_judge is not None:
        second = load_second_judge(folders.second_judge, compute, endpoint=chat.endpoint, store=chat.store)
    return Evaluator(
        judge=load_judge(folders.judge, compute, endpoint=chat.endpoint, store=chat.store),
        second_judge=second,
        reward_model=load_reward_model(folders.reward_model, compute, scores_alone=True),
        reference=load_policy(reference, compute, finetuning=None),
        tokenizer=load_tokenizer(reference),
        sampling=sampling,
        compute=compute,
        batch_size=settings.batch_size,
        resamples=settings.bootstrap_resamples if isinstance(settings, Measuring) else None,
        seed=seed,
        resume=resume,
        end_of_turn=read_text_format(reference / FILE).end_of_turn,
    )
