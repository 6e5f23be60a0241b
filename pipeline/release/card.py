"""Model cards as the Hugging Face hub reads them (https://huggingface.co/docs/hub/model-cards)."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from pipeline.params.dotted import DottedParams
from pipeline.release.origins import PACKAGED
from pipeline.results.comparison import ComparedMethod, Comparison
from pipeline.results.document import Interval
from pipeline.results.reward import RewardMetrics

TEMPLATE = Path(__file__).with_name("card.md.j2")
METHODS = {
    "sft": "supervised fine-tuning (SFT)",
    "dpo": "Direct Preference Optimization (DPO) of the SFT policy",
    "ppo": "Proximal Policy Optimization (PPO) of the SFT policy against a reward model",
    "hybrid": "DPO, then PPO on the prompts of the categories that DPO made worse",
    "reward_model": "reward-model training with the Bradley-Terry loss",
}


@dataclass(frozen=True)
class Metric:
    """One measured number; `interval` is its 95 % interval where there is one."""

    kind: str
    name: str
    value: float
    interval: tuple[float, float] | None = None

    @property
    def text(self) -> str:
        if self.interval is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.interval[0]:.3f} to {self.interval[1]:.3f})"


@dataclass(frozen=True)
class Facts:
    """What the reports say of one model."""

    task: str
    metrics: Sequence[Metric]
    data: Sequence[str]
    flags: Sequence[str] = field(default_factory=list)


def policy_facts(name: str, comparison: Comparison, rows: Mapping[str, int]) -> Facts:
    """The facts of a policy: its entry in reports/comparison.json, and what it was trained on.

    Args:
        name: sft or a method.
        comparison: reports/comparison.json.
        rows: how many entries have each fate in prepare_data.
    """
    entry = comparison.policies[name]
    metrics = [
        _interval("judge_score", "Judge score", entry.judge_score),
        _interval("reward_score", "Reward score", entry.reward_score),
        _interval("win_rate", "Win rate against SFT", entry.win_rate_vs_sft),
        *_where_known("win_rate", "Win rate against SFT at equal length", entry.length_controlled_win_rate),
        Metric("kl", "KL from SFT (nats per response)", entry.kl_nats_per_sequence),
        *_where_known("perplexity", "Perplexity of held-out texts", entry.perplexity_held_out),
        Metric("distinct-2", "Distinct bigrams", entry.distinct_2),
    ]
    texts = rows.get("used.sft")
    data = (
        [] if texts is None else [f"{texts} texts for SFT." if texts else "For SFT the responses of the train split."]
    )
    if name == "dpo":
        data.append(_pairs(comparison))
    elif name != "sft":
        data += [f"{rows['used.train']} prompts." if "used.train" in rows else "Prompts.", _pairs(comparison)]
    # with several seeds, those about the run that is published; what is wrong with the judge is wrong with its scores
    seed = entry.seed if isinstance(entry, ComparedMethod) else None
    flags = [
        flag.message
        for flag in comparison.flags
        if flag.subject == "judge" or (flag.policy == name and flag.seed in (None, seed))
    ]
    return Facts("text-generation", metrics, data, flags)


def reward_model_facts(comparison: Comparison, reward_metrics: RewardMetrics) -> Facts:
    """The facts of the reward model that was trained here, also where a finished one is used in its place.

    Args:
        reward_metrics: reports/reward_model/metrics.json, which has the model in use and a row for each one measured.
    """
    own = next(row for row in reward_metrics.models if row.name == "own")
    metrics = [
        _interval("accuracy", "Accuracy on test pairs", own.accuracy),
        Metric("accuracy", 'Accuracy of "the longer one wins"', reward_metrics.longer_wins_accuracy),
        Metric("ece", "Expected calibration error", own.expected_calibration_error),
    ]
    # the flags are about the model in use
    flagged = comparison.flags if reward_metrics.model == "own" else []
    flags = [flag.message for flag in flagged if flag.subject == "reward_model"]
    return Facts("text-classification", metrics, [_pairs(comparison)], flags)


def model_card(name: str, facts: Facts, *, params: DottedParams, section: str, digests: Mapping[str, str]) -> str:
    """The README.md of a model's folder: metadata with a `model-index`, and text.

    Args:
        name: sft, a method, or reward_model.
        facts: what the reports say of the model.
        params: values by dotted key of params.yaml.
        section: the section of params.yaml that the training read, which is shown whole.
        digests: sha256 of the folder's files by name.
    """
    base = "models.reward_backbone" if name == "reward_model" else "models.policy"
    source = params[f"{base}.source"]
    named = params["data.source"]
    names: list[str] = [named] if isinstance(named, str) else [one["name"] for one in named]
    sources = named if isinstance(named, str) else ", ".join(f"{one['name']} (share {one['share']:g})" for one in named)
    datasets = [one.removeprefix("hub:") for one in names if one.startswith("hub:")]
    origin = PACKAGED.get(source)
    base_model = origin.hub_id if origin else _hub_id(source)
    data = ModelCardData(
        language=params["publish_models.language"],
        license=params["publish_models.license"] or (origin.license if origin else None),
        library_name="transformers",
        pipeline_tag=facts.task,
        base_model=base_model,
        # whole weights, adapters merged in; what the hub calls a merge is one of several models
        base_model_relation="finetune" if base_model else None,
        datasets=datasets or None,
        tags=["rlhf", name.replace("_", "-")],
        model_name=name,
        eval_results=[
            EvalResult(
                task_type=facts.task,
                dataset_type=datasets[0] if datasets and len(names) == 1 else "held-out",
                dataset_name=f"held-out split of {sources}",
                metric_type=metric.kind,
                metric_name=metric.name,
                metric_value=round(metric.value, 6),
            )
            for metric in facts.metrics
        ],
    )
    settings = {key: value for key, value in params.items() if key == "seed" or key.startswith(f"{section}.")}
    card = ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        name=name,
        method=METHODS.get(name, name),
        source=source,
        data_sources=sources,
        revision=params[f"{base}.revision"],
        facts=facts,
        params=params,
        settings=json.dumps(settings, indent=2, sort_keys=True),
        auto_class="AutoModelForSequenceClassification" if name == "reward_model" else "AutoModelForCausalLM",
        digests=digests,
    )
    return f"{card}\n"


def _hub_id(source: str) -> str | None:
    """A source that is a name on the hub; None for others, such as your own folder."""
    return source if re.fullmatch(r"[\w.-]+/[\w.-]+", source) and not Path(source).exists() else None


def _interval(kind: str, name: str, value: Interval) -> Metric:
    return Metric(kind, name, value.mean, (value.low, value.high))


def _where_known(kind: str, name: str, value: float | None) -> list[Metric]:
    return [] if value is None else [Metric(kind, name, value)]


def _pairs(comparison: Comparison) -> str:
    pairs = comparison.preferences
    return f"Preference pairs: {pairs.accepted} accepted of {pairs.raw}, in training, validation and test."
