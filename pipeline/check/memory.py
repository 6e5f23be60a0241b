"""Whether each training will fit into the memory of this machine, by configs and data: no weights are loaded."""

from collections.abc import Iterator, Sequence

from transformers import PreTrainedTokenizerBase

from pipeline.check.findings import Findings, Table
from pipeline.check.models import Readers, count_tokens
from pipeline.check.settings import Settings
from pipeline.check.sft import is_trained
from pipeline.check.sources import ReadData
from pipeline.data.passages import Passage
from pipeline.data.table_rows import TextRow
from pipeline.memory.conditions import Conditions
from pipeline.memory.fitting import Fit, estimate_fit
from pipeline.memory.trainings import (
    ON_POLICY,
    dpo_work,
    ppo_work,
    prompt_tokens,
    reward_examples,
    reward_work,
    sft_work,
)
from pipeline.memory.work import Example, Model, Work, largest
from pipeline.models.reward_texts import RewardTexts
from pipeline.preferences.pair import PreferencePair


def check_memory(
    data: ReadData, pairs: Sequence[PreferencePair], readers: Readers, settings: Settings, findings: Findings
) -> None:
    """Estimate the peak of every training, and name what to change where it is more than there is.

    Args:
        data: the rows that are trained on.
        pairs: the pairs that are known before a policy has written any.
        readers: the tokenizers and configs of the models.
        settings: the parameters of the run.
        findings: gets a table, a warning for each training that may not fit, and an error for each that cannot.
    """
    with findings.collecting():
        conditions = Conditions.of(settings.runtime)
        rows = []
        for work in trainings_of(data, pairs, readers, settings):
            if work.examples:
                fit = estimate_fit(work, conditions)
                rows.append([work.section, fit.need_gib, fit.limit_gib, _tell(fit, work, findings)])
        if rows:
            findings.tables.append(Table("Memory of the trainings", _HEADER, rows))


_HEADER = ("training", "estimated peak", "memory", "it")


def _tell(fit: Fit, work: Work, findings: Findings) -> str:
    if fit.fits:
        return "fits"
    add, word = (findings.error, "cannot fit") if fit.hopeless else (findings.warning, "may not fit")
    model = "models.reward_backbone.source" if work.section == "train_reward" else "models.policy.source"
    key, value = (fit.remedies[0].key, fit.remedies[0].value) if fit.remedies else (model, None)
    add(f"{work.section} {fit.problem}", key, value)
    return word


def trainings_of(
    data: ReadData, pairs: Sequence[PreferencePair], readers: Readers, settings: Settings
) -> Iterator[Work]:
    """The trainings of the run, in its order."""
    sizes, limits, policy = settings.trainings, settings.lengths, readers.config
    prompts = [row["prompt"] for row in data.prepared.prompts["train"]]
    known = [pair for pair in pairs if pair.split == "train"] if settings.collect.source != "sampled" else None
    if is_trained(data, settings):
        texts = _texts(data.prepared.texts["train"], readers.policy, limits.sft, turns=settings.sft_turns)
        yield sft_work(policy, sizes.sft, texts)
    if not settings.models.reward_backbone.is_reward_model:
        end = data.style.end_of_turn if data.style.written else None
        yield reward_work(readers.reward_config, sizes.reward, _scored(prompts, known, readers, settings, end=end))
    if "dpo" in settings.methods:
        yield dpo_work(policy, sizes.dpo, _compared(prompts, known, readers.policy, settings))
    for method in ON_POLICY:
        if method in settings.methods:
            yield ppo_work(
                policy,
                readers.reward_config,
                sizes.ppo if method == "ppo" else sizes.hybrid,
                method=method,
                prompts=prompt_tokens(readers.policy, prompts),
                new_tokens=limits.new_tokens,
                max_prompt_tokens=limits.prompt_tokens,
            )


def _texts(rows: Sequence[TextRow], policy: PreTrainedTokenizerBase, limit: int, *, turns: str) -> list[Example]:
    rows = largest(rows, lambda row: len(row["prompt"]) + len(row["response"]))
    # what follows the first answer is a response where all turns are learned
    cuts = [row["turns"][0][0] if turns == "all" and row.get("turns") else len(row["prompt"]) for row in rows]
    prompts, responses = (
        count_tokens(policy, texts)
        for texts in (
            [row["prompt"][:cut] for row, cut in zip(rows, cuts, strict=True)],
            [row["prompt"][cut:] + row["response"] for row, cut in zip(rows, cuts, strict=True)],
        )
    )
    return [
        Example.of_text(prompt, max(0, min(response + 1, limit - prompt)))
        for prompt, response in zip(prompts, responses, strict=True)
    ]


def _scored(
    prompts: Sequence[str],
    known: Sequence[PreferencePair] | None,
    readers: Readers,
    settings: Settings,
    *,
    end: str | None,
) -> list[Example]:
    """Pairs as the reward model reads them; responses that are yet to be sampled have the full length.

    Args:
        end: what the chat template writes behind a response, where one writes the texts.
    """
    limit, new = settings.lengths.reward, settings.lengths.new_tokens
    if known is not None:
        texts = RewardTexts(readers.reward, max_length=limit, end_of_turn=end)
        pairs = [
            (Passage(pair.prompt + pair.chosen, True), Passage(pair.prompt + pair.rejected, True)) for pair in known
        ]
        return reward_examples(readers.reward_config, texts, pairs)
    shared = Model.of(readers.reward_config, writes=False).is_decoder
    lengths = prompt_tokens(readers.reward, prompts)
    return [Example.of_pair(length, new, new, shared=shared, writes=False).cut(limit) for length in lengths]


def _compared(
    prompts: Sequence[str],
    known: Sequence[PreferencePair] | None,
    policy: PreTrainedTokenizerBase,
    settings: Settings,
) -> list[Example]:
    """Pairs as DPO reads them, without those that score_reference drops."""
    if known is None:
        new = settings.lengths.new_tokens
        sizes = [(length, new, new) for length in prompt_tokens(policy, prompts)]
    else:
        pairs = largest(known, lambda pair: len(pair.prompt) + sum(pair.lengths))
        texts = zip(*((pair.prompt, pair.chosen, pair.rejected) for pair in pairs), strict=True)
        counts = zip(*(count_tokens(policy, of_field) for of_field in texts), strict=True)
        sizes = [(prompt, one + 1, other + 1) for prompt, one, other in counts]
    limit = settings.lengths.reference
    return [Example.of_pair(*size) for size in sizes if size[0] + max(size[1:]) <= limit]
