"""The stages that train nothing, as the estimate of their memory sees them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.data.passages import Passage
from pipeline.data.table_rows import PromptRow, TextRow
from pipeline.memory.reading import Reading, Rows
from pipeline.memory.trainings import kept_prompts, prompt_tokens
from pipeline.memory.work import Example, Model
from pipeline.models.folders import config_of, stored_dtype
from pipeline.models.policy import load_tokenizer
from pipeline.models.reward_loading import load_reward_tokenizer
from pipeline.models.text_length import longest_text
from pipeline.params.base import Quantization
from pipeline.params.evaluation import EvaluateReward, Scoring
from pipeline.params.schema import Sampling


def collection(policy: Model, sampling: Sampling, *, prompts: Sequence[int], samples: int) -> Reading:
    """The stage collect_preferences, where the policy samples.

    Args:
        prompts: tokens of each.
        samples: of all prompts together.
    """
    return Reading(
        section="sampling",
        policy=policy,
        policies=1,
        sampled=_sampled(sampling, prompts, samples),
        new=sampling.max_new_tokens,
    )


def reference(
    policy: Model, *, batch: int, pairs: Sequence[Example], widened: bool, quantization: Quantization = "none"
) -> Reading:
    """The stage score_reference.

    Args:
        batch: pairs at once.
        widened: DPO trains in full, and its reference has that one's number format.
        quantization: of the weights below DPO's adapters, and so of its reference.
    """
    longest = max((max(one.rows) for one in pairs), default=1)
    rows = max((len(one.rows) for one in pairs), default=1)
    read = Rows(
        min(batch, len(pairs)) * rows,
        longest,
        texts=2 // rows,
        text=max((-(-one.planned // 2) for one in pairs), default=1),
    )
    return Reading(
        section="score_reference",
        policy=policy,
        policies=1,
        widened=widened,
        quantization=quantization,
        read=read,
        batch=batch,
    )


def reward_evaluation(scorer: Model, *, batch: int, longest: int, number: int, texts: int) -> Reading:
    """The stage evaluate_reward, which scores whole batches without splitting them.

    Args:
        batch: texts at once.
        longest: tokens of the longest that the model reads.
        number: bytes of a weight.
        texts: in all.
    """
    return Reading(
        section="evaluate_reward",
        policy=scorer,
        scorer=scorer,
        scorer_number=number,
        scored=Rows(min(batch, texts), longest),
        whole=True,
        batch=batch,
    )


def stored_reward_evaluation(folder: Path, settings: EvaluateReward, passages: Sequence[Passage]) -> Reading:
    """The stage evaluate_reward with a reward model that is there, and the texts that it is measured on."""
    tokenizer, config = load_reward_tokenizer(folder), config_of(folder)
    # as long as it was trained on, see `load_reward_model`
    limit = min(tokenizer.model_max_length, longest_text(config) or tokenizer.model_max_length)
    lengths = prompt_tokens(tokenizer, [passage.text for passage in passages])
    return reward_evaluation(
        Model.of(config, writes=False),
        batch=settings.batch_size,
        longest=min(max(lengths, default=1), limit),
        number=stored_dtype(folder).itemsize,
        texts=max(1, min(len(passages), 2 * settings.robustness_pairs)),
    )


class HeldModels(NamedTuple):
    """The networks that a stage holds at once while it measures policies."""

    policy: Model
    scorer: Model
    """The reward model."""
    policies: int = 2
    """How many policies, the SFT policy among them."""
    scorer_number: int = 4
    """Bytes of a stored weight of the reward model."""


class MeasuredLengths(NamedTuple):
    """What a stage samples and measures, in tokens."""

    prompts: Sequence[int]
    """Tokens of each prompt."""
    samples: int
    """The most responses that are sampled at one time, of all prompts together."""
    texts: int = 0
    """Tokens of the longest real text whose perplexity is measured."""


class Measured(NamedTuple):
    """What a stage samples and measures, as texts; it decides how much memory the stage needs."""

    prompts: Sequence[PromptRow]
    samples: int
    """The most responses that are sampled at one time, of all prompts together."""
    texts: Sequence[TextRow] = ()
    """Real texts whose perplexity is measured."""
    policies: int = 2
    """How many policies are in memory at the same time, the SFT policy among them."""


def evaluation(
    section: str, models: HeldModels, measured: MeasuredLengths, settings: Scoring, sampling: Sampling
) -> Reading:
    """A stage that samples a policy and measures it beside the SFT policy.

    Args:
        section: of params.yaml, with `settings`.
    """
    whole, kept = (
        max(lengths, default=1) + sampling.max_new_tokens
        for lengths in (measured.prompts, kept_prompts(measured.prompts, sampling.max_prompt_tokens))
    )
    count = min(settings.batch_size, measured.samples)
    return Reading(
        section=section,
        policy=models.policy,
        policies=models.policies,
        scorer=models.scorer,
        scorer_number=models.scorer_number,
        sampled=_sampled(sampling, measured.prompts, measured.samples),
        new=sampling.max_new_tokens,
        read=Rows(count, max(kept, measured.texts)),
        scored=Rows(count, whole),
        batch=settings.batch_size,
    )


def stored_evaluation(
    section: str, folders: tuple[Path, Path], measured: Measured, settings: Scoring, sampling: Sampling
) -> Reading:
    """The same stage with models and texts that are there.

    Args:
        section: of params.yaml, with `settings`.
        folders: of the SFT policy and of the reward model.
    """
    policy, scorer = folders
    tokenizer = load_tokenizer(policy)
    texts = [row["prompt"] + row["response"] for row in measured.texts]
    models = HeldModels(
        Model.of(config_of(policy), writes=True),
        Model.of(config_of(scorer), writes=False),
        measured.policies,
        stored_dtype(scorer).itemsize,
    )
    lengths = MeasuredLengths(
        prompt_tokens(tokenizer, [row["prompt"] for row in measured.prompts]),
        measured.samples,
        # a text ends with one token more
        1 + max(prompt_tokens(tokenizer, texts), default=0),
    )
    return evaluation(section, models, lengths, settings, sampling)


def _sampled(sampling: Sampling, prompts: Sequence[int], samples: int) -> Rows:
    """The rows that a stage samples at once."""
    longest = max(kept_prompts(prompts, sampling.max_prompt_tokens), default=1)
    return Rows(max(1, min(sampling.batch_size, samples)), longest + sampling.max_new_tokens)
