"""The reward model that train_reward starts from: a backbone with a fresh head."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.memory.trainings import reward_examples, reward_work
from pipeline.models.compute import Compute
from pipeline.models.folders import config_of
from pipeline.models.reward import RewardModel
from pipeline.models.reward_loading import create_reward_model, load_reward_tokenizer
from pipeline.models.reward_texts import RewardTexts
from pipeline.models.text_format import TextFormat
from pipeline.preferences.pair import PreferencePair
from pipeline.scripts.starting import check_training
from pipeline.stage.execution import Stage


def start_reward_model(
    stage: Stage, backbone: Path, pairs: Sequence[PreferencePair], compute: Compute, texts: TextFormat
) -> RewardModel:
    """The backbone with a fresh head, once it is known that it can be trained.

    Raises:
        PipelineError: the optimiser is not installed, or the memory too small.
    """
    settings = stage.params.train_reward
    tokenizer = load_reward_tokenizer(backbone)
    read = RewardTexts(tokenizer, max_length=settings.max_length, end_of_turn=texts.end_of_turn)
    config, sides = config_of(backbone), [pair.passages for pair in pairs]
    check_training(reward_work(config, settings, reward_examples(config, read, sides)), stage.params.runtime)
    return create_reward_model(
        backbone,
        compute,
        max_length=settings.max_length,
        seed=stage.params.seed,
        finetuning=settings.finetuning,
        tokenizer=tokenizer,
        texts=texts,
    )
