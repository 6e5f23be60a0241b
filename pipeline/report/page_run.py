"""What was run, as the page begins: the task in a sentence, models and data with hashes, judge, main parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.params.dotted import DottedParams
from pipeline.report.formats import number, percent
from pipeline.report.inputs import ReportInputs
from pipeline.report.palette import policy_label
from pipeline.results.judges import MeasuredJudge

_HASH_LENGTH = 12
# what tells two runs of a method apart first
_MAIN = {
    "dpo": ("loss", "beta", "learning_rate", "num_train_epochs"),
    "ppo": ("kl_coef", "learning_rate", "total_episodes", "advantage_estimator"),
}


@dataclass(frozen=True)
class Fact:
    """A line of the table: what, and one or several texts, each perhaps with a hash."""

    label: str
    values: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class RunFacts:
    """The head of the page."""

    task: str
    facts: Sequence[Fact]
    parameters: DottedParams
    """All that results depend on, by dotted key of params.yaml."""
    audit: str
    """The command that follows a shown policy to the raw rows."""


def run_facts(inputs: ReportInputs, params: DottedParams, hashes: Mapping[str, str]) -> RunFacts:
    """What parameters and content hashes say; no time, commit or machine, which the run sheet knows.

    Args:
        params: values by dotted key of params.yaml.
        hashes: DVC's hashes of the inputs of write_report, by path.
    """
    first = next(iter(inputs.trained.values()))
    return RunFacts(
        task=task_sentence(inputs, params),
        facts=_facts(inputs, params, hashes),
        parameters=params,
        audit=f"python -m pipeline.lineage audit artifacts/policies/{first.name}/seed-{first.seed}",
    )


def task_sentence(inputs: ReportInputs, params: DottedParams) -> str:
    """What the policy learns, from whose preferences, and who measures it."""
    first_words = any(one.format.startswith("labelled_texts") for one in inputs.sources.sources)
    work = f"continue the first {params['data.prompt_words']} words of a text" if first_words else "answer prompts"
    preferences = {
        "sampled": f"{_judge(params)} ranks {params['collect_preferences.samples_per_prompt']} samples of the SFT "
        "policy for each prompt, and the best and the worst become a pair",
        "given": "the pairs are those of the data",
        "labelled": "people voted on samples of the SFT policy (data/labels)",
    }[params["collect_preferences.source"]]
    return (
        f"The policy learns to {work}, in up to {params['sampling.max_new_tokens']} tokens, as preferences say: "
        f"{preferences}. {_capitalised(_measuring_judge(inputs, params))} measures it on "
        f"{number(inputs.sft.metrics.evaluation_prompts, 0)} prompts that nothing was trained on."
    )


def _facts(inputs: ReportInputs, params: DottedParams, hashes: Mapping[str, str]) -> list[Fact]:
    reward = inputs.reward_metrics
    used = f"{reward.model}, {percent(reward.accuracy.mean)} of test pairs right"
    sources = [(f"{one.file}: {number(one.rows, 0)} rows, {one.format}", "") for one in inputs.sources.sources]
    return [
        Fact("Policy", [(_model(params, "policy"), _hash(hashes, "artifacts/models/policy"))]),
        Fact(
            "Reward model",
            [(f"{_model(params, 'reward_backbone')} ({used})", _hash(hashes, "artifacts/models/reward_backbone"))],
        ),
        Fact("Data", [*sources, ("every row and its fate", _hash(hashes, "artifacts/data/fates.jsonl"))]),
        Fact("Judges", _judge_facts(inputs, params)),
        Fact("Methods", [(_method(params, name, inputs.seeds), "") for name in inputs.methods]),
    ]


def _judge_facts(inputs: ReportInputs, params: DottedParams) -> list[tuple[str, str]]:
    judge = inputs.judge
    facts = [(f"{_judge(params)}, {_right(judge)}", "")]
    if judge.evaluation is not None:
        facts.append((f"measures policies: {_measuring_judge(inputs, params)} {_right(judge.evaluation)}", ""))
    if judge.second is not None:
        facts.append((f"measures them again: {judge.second.family}, {_right(judge.second)}", ""))
    return facts


def _right(judge: MeasuredJudge) -> str:
    return f"{percent(judge.held_out_accuracy.mean)} right on {number(judge.texts, 0)} held-out texts"


def _method(params: DottedParams, name: str, seeds: Sequence[int]) -> str:
    chosen = [f"{key} {params[f'optimize.{name}.{key}']}" for key in _MAIN["dpo" if name == "dpo" else "ppo"]]
    which = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    return f"{policy_label(name)}: {', '.join([*chosen, params[f'optimize.{name}.finetuning.method'], which])}"


def _judge(params: DottedParams) -> str:
    match params["judge.kind"]:
        case "reward_model":
            return f"the reward model {params['judge.reward_model.source']}"
        case "chat":
            return f"the chat model {params['judge.chat.model']}"
        case _:
            return "a text classifier fitted on the data's human labels"


def _measuring_judge(inputs: ReportInputs, params: DottedParams) -> str:
    if inputs.judge.evaluation is None:
        return _judge(params)
    return "a second classifier, fitted on other labels," if params["judge.kind"] == "classifier" else "a second judge"


def _model(params: DottedParams, name: str) -> str:
    source, revision = params[f"models.{name}.source"], params[f"models.{name}.revision"]
    return f"{source}, revision {revision}" if revision else str(source)


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _hash(hashes: Mapping[str, str], path: str) -> str:
    return f"{path} {hashes[path].removesuffix('.dir')[:_HASH_LENGTH]}" if path in hashes else ""
