"""The stages that train nothing, as the estimate of their memory sees them."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.data.passages import Passage
from pipeline.data.table_rows import TextRow
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
    """collect_preferences, where the policy samples.

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
    """score_reference.

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
    """evaluate_reward, which tries out whole batches.

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
    """The same of a reward model that is there, and of the texts that it is measured on."""
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


def evaluation(
    section: str,
    models: tuple[Model, Model],
    settings: Scoring,
    sampling: Sampling,
    *,
    prompts: Sequence[int],
    samples: int,
    texts: int = 0,
    policies: int = 2,
    number: int = 4,
) -> Reading:
    """A stage that samples a policy and measures it beside the SFT policy.

    Args:
        section: of params.yaml, with `settings`.
        models: the policy and the reward model.
        prompts: tokens of each.
        samples: of all prompts together.
        texts: tokens of the longest real text whose perplexity is measured.
        policies: held at once.
        number: bytes of a weight of the reward model.
    """
    policy, scorer = models
    whole, kept = (
        max(lengths, default=1) + sampling.max_new_tokens
        for lengths in (prompts, kept_prompts(prompts, sampling.max_prompt_tokens))
    )
    count = min(settings.batch_size, samples)
    return Reading(
        section=section,
        policy=policy,
        policies=policies,
        scorer=scorer,
        scorer_number=number,
        sampled=_sampled(sampling, prompts, samples),
        new=sampling.max_new_tokens,
        read=Rows(count, max(kept, texts)),
        scored=Rows(count, whole),
        batch=settings.batch_size,
    )


def stored_evaluation(
    section: str,
    folders: tuple[Path, Path],
    settings: Scoring,
    sampling: Sampling,
    *,
    prompts: Sequence[str],
    samples: int,
    texts: Sequence[TextRow] = (),
    policies: int = 2,
) -> Reading:
    """The same of models that are there, and of texts.

    Args:
        folders: of the SFT policy and of the reward model.
        texts: rows with `prompt` and `response`, whose perplexity is measured.
    """
    policy, scorer = folders
    tokenizer = load_tokenizer(policy)
    return evaluation(
        section,
        (Model.of(config_of(policy), writes=True), Model.of(config_of(scorer), writes=False)),
        settings,
        sampling,
        prompts=prompt_tokens(tokenizer, prompts),
        samples=samples,
        texts=1 + max(prompt_tokens(tokenizer, [row["prompt"] + row["response"] for row in texts]), default=0),
        policies=policies,
        number=stored_dtype(scorer).itemsize,
    )


def _sampled(sampling: Sampling, prompts: Sequence[int], samples: int) -> Rows:
    """What a stage samples."""
    longest = max(kept_prompts(prompts, sampling.max_prompt_tokens), default=1)
    return Rows(max(1, min(sampling.batch_size, samples)), longest + sampling.max_new_tokens)
