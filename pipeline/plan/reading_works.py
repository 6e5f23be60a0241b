"""Sampling, scoring and evaluation of a planned run, as the estimate of their memory sees them."""

from pipeline.memory.reading import Reading
from pipeline.memory.readings import HeldModels, MeasuredLengths, collection, evaluation, reference, reward_evaluation
from pipeline.memory.work import Example
from pipeline.params.schema import Params
from pipeline.plan.amounts import Amounts, Texts
from pipeline.plan.models import PlannedModels


def reading_works(params: Params, models: PlannedModels, amounts: Amounts) -> dict[str, Reading]:
    """The stages that train nothing, by name; collect_preferences only where the policy samples."""
    works: dict[str, Reading] = {}
    if params.collect_preferences.source == "sampled":
        some = [amounts.prompts[split] for split in ("train", "validation", "test")]
        samples = sum(one.count for one in some) * params.collect_preferences.samples_per_prompt
        longest = [_longest_prompt(one, params) for one in some]
        works["collect_preferences"] = collection(models.policy, params.sampling, prompts=longest, samples=samples)
    pair = amounts.pairs["train"]
    row = Example.of_pair(round(pair.prompt), round(pair.response / 2), round(pair.response / 2))
    # `longest` is of the longer side; the other may be as long
    row = Example(2 * pair.longest, (max(*row.rows, 2 * pair.longest - round(pair.prompt)),), row.predicted)
    settings = params.score_reference
    works["score_reference"] = reference(
        models.policy,
        batch=settings.batch_size,
        pairs=[row] * min(pair.count, settings.batch_size),
        widened=params.optimize.dpo.finetuning.method == "full",
        quantization=params.optimize.dpo.finetuning.quantization,
    )
    test = amounts.pairs["test"]
    works["evaluate_reward"] = reward_evaluation(
        models.scorer,
        batch=params.evaluate_reward.batch_size,
        longest=min(test.longest, params.train_reward.max_length),
        number=models.scorer_number,
        texts=max(1, 2 * min(test.count, params.evaluate_reward.robustness_pairs)),
    )
    return works | _evaluations(params, models, amounts)


def _evaluations(params: Params, models: PlannedModels, amounts: Amounts) -> dict[str, Reading]:
    held = HeldModels(models.policy, models.scorer, scorer_number=models.scorer_number)
    prompts, shown = amounts.prompts, params.select_checkpoint
    best, fewer = max(params.evaluate_policy.best_of_n), min(shown.prompts, prompts["validation"].count)
    longest = {split: [_longest_prompt(one, params)] for split, one in prompts.items()}
    asked, texts = prompts["evaluation"].count, amounts.held_out.longest
    regressions = params.find_regressions.prompts_per_category * amounts.categories
    sft = MeasuredLengths(longest["evaluation"], max(asked, fewer * best), texts)
    policy = MeasuredLengths(longest["evaluation"], asked, texts)
    checkpoint = MeasuredLengths(longest["validation"], fewer)
    categories = MeasuredLengths(longest["train"], min(prompts["train"].count, regressions))
    alone, three = held._replace(policies=1), held._replace(policies=3)  # one more while the next checkpoint is loaded
    settings, sampling = params.evaluate_policy, params.sampling
    return {
        "evaluate_sft": evaluation("evaluate_policy", alone, sft, settings, sampling),
        "evaluate_policy": evaluation("evaluate_policy", held, policy, settings, sampling),
        "select_checkpoint": evaluation("select_checkpoint", three, checkpoint, shown, sampling),
        "find_regressions": evaluation("find_regressions", held, categories, params.find_regressions, sampling),
    }


def _longest_prompt(texts: Texts, params: Params) -> int:
    return max(1, texts.longest - params.sampling.max_new_tokens)
