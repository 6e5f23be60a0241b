"""What is measured on a policy: its distance from the SFT policy, its perplexity, and its wins."""

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from pipeline.data.passages import Passage
from pipeline.data.tokens import tokenize_example
from pipeline.evaluation.instruments import ChatAccess, InstrumentFolders, load_evaluator
from pipeline.evaluation.policy import Evaluator, ScoredSample
from pipeline.evaluation.policy_metrics import policy_metrics
from pipeline.judges.pointwise import PointwiseJudge
from pipeline.judges.text_classifier import fit_judge
from pipeline.models.chunked_sampling import sample_texts
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.models.reward_loading import create_reward_model
from pipeline.models.text_format import TextFormat, store_text_format
from pipeline.params.schema import FitJudge, Params
from pipeline.results.policies import Sample
from tests.conftest import PolicyMaker
from tests.tiny_models import LORA, SENTENCES, changed

PROMPTS = [
    {"id": f"p{i}", "prompt": " ".join(text.split()[:3]), "category": f"kind {i % 2}"}
    for i, text in enumerate(SENTENCES)
]


@pytest.fixture
def evaluator(policy_folder: Path, encoder_folder: Path, tmp_path: Path, compute: Compute, params: Params) -> Evaluator:
    judge = fit_judge(
        ["clever funny joy", "weak dull boring"] * 3,
        [1, 0] * 3,
        FitJudge(independent=True, window_words=5, windows_per_text=2, ngram_max=1, inverse_regularization=1.0),
    )
    create_reward_model(encoder_folder, compute, max_length=48, seed=0).save(tmp_path / "reward_model")
    for folder in (policy_folder, tmp_path / "reward_model"):
        store_text_format(folder, TextFormat("transcript"))
    judge.save(tmp_path / "judge")
    return load_evaluator(
        InstrumentFolders(tmp_path / "judge", tmp_path / "reward_model", reference=policy_folder),
        chat=ChatAccess(params.judge.endpoint, tmp_path / "replies"),
        settings=changed(params.evaluate_policy, batch_size=4, bootstrap_resamples=50),
        sampling=changed(params.sampling, max_new_tokens=5, temperature=0.8, batch_size=4),
        compute=compute,
        seed=0,
    )


def moved(make_policy: PolicyMaker) -> Policy:
    policy = make_policy(LORA)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return policy


def test_the_reference_is_at_no_distance_from_itself(evaluator: Evaluator, make_policy: PolicyMaker) -> None:
    itself = evaluator.sample_and_score(evaluator.reference, PROMPTS, title="test")
    copy = evaluator.sample_and_score(make_policy(), PROMPTS, title="test")
    assert [sample.kl_nats for sample in itself] == [0.0] * len(PROMPTS)
    assert [sample.kl_nats for sample in copy] == pytest.approx([0.0] * len(PROMPTS), abs=1e-4)
    assert [sample.kl_k3_nats for sample in itself] == [0.0] * len(PROMPTS)
    assert [sample.category for sample in itself] == [row["category"] for row in PROMPTS]
    # the same random numbers for every policy
    assert [sample.response for sample in copy] == [sample.response for sample in itself]


def test_copies_of_a_prompt_are_adjacent_and_scored_with_it(evaluator: Evaluator) -> None:
    samples = evaluator.sample_and_score(evaluator.reference, PROMPTS, copies=3, title="test")
    assert [sample.id for sample in samples] == [row["id"] for row in PROMPTS for _ in range(3)]
    texts = [sample.passage.after(sample.prompt) for sample in samples]
    assert [sample.judge_score for sample in samples] == pytest.approx(evaluator.judge.score(texts).tolist())
    scores = [evaluator.reward_model.score([text], batch_size=1).item() for text in texts]
    assert [sample.reward_score for sample in samples] == pytest.approx(scores, abs=1e-4)


class Longer(PointwiseJudge):
    """Compares by length, as a chat judge does: it has no score of its own."""

    def rate(self, prompts: Sequence[str], responses: Sequence[Passage], against: Sequence[Passage]) -> np.ndarray:
        return self.compare(prompts, responses, against)

    def counts(self) -> dict[str, float]:
        return {"malformed": 1}


def test_a_judge_that_compares_rates_against_the_sft_samples(evaluator: Evaluator, make_policy: PolicyMaker) -> None:
    judge = Longer(lambda texts: np.array([float(len(one.text)) for one in texts]))
    evaluator = replace(evaluator, judge=judge)
    baseline = evaluator.sample_and_score(evaluator.reference, PROMPTS, title="test")
    assert [sample.judge_score for sample in baseline] == [0.5] * len(PROMPTS)
    samples = evaluator.sample_and_score(moved(make_policy), PROMPTS, copies=2, title="test", baseline=baseline)
    lengths = {sample.id: len(sample.response) for sample in baseline}
    expected = [(1 + np.sign(len(sample.response) - lengths[sample.id])) / 2 for sample in samples]
    assert [sample.judge_score for sample in samples] == expected
    assert {0.0, 1.0} <= set(expected)
    metrics = policy_metrics(evaluator, samples, baseline, 12.0)
    assert metrics.win_rate_vs_sft.mean == metrics.judge_score.mean == pytest.approx(np.mean(expected))
    assert metrics.judge_verdicts == {"malformed": 1}


def test_a_comparison_without_verdict_counts_as_a_tie_of_policies(evaluator: Evaluator) -> None:
    class Silent(Longer):
        def compare(self, prompts: Sequence[str], first: Sequence[Passage], second: Sequence[Passage]) -> np.ndarray:
            return np.full(len(prompts), np.nan)

    evaluator = replace(evaluator, judge=Silent(lambda texts: np.zeros(len(texts))))
    samples = evaluator.sample_and_score(evaluator.reference, PROMPTS, title="test")
    assert policy_metrics(evaluator, samples, samples, 12.0).win_rate_vs_sft.mean == 0.5


def test_sampled_log_ratios_estimate_a_kl_that_is_positive(evaluator: Evaluator, make_policy: PolicyMaker) -> None:
    samples = evaluator.sample_and_score(moved(make_policy), PROMPTS, copies=20, title="test")
    k1, k3 = (np.array([getattr(one, name) for one in samples]) for name in ("kl_nats", "kl_k3_nats"))
    assert k1.mean() > 0.05 and k1.min() < 0
    # the same expectation, never negative, and less noise
    assert k3.min() >= 0 and k3.std() < k1.std()
    assert k3.mean() == pytest.approx(k1.mean(), abs=3 * k1.std() / len(k1) ** 0.5)


def test_kl_of_a_sample_is_summed_over_its_tokens(
    evaluator: Evaluator, make_policy: PolicyMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(
        "pipeline.evaluation.policy.sample_texts",
        lambda *args, **more: drawn.extend(sample_texts(*args, **more)) or drawn,
    )
    policy = moved(make_policy)
    (sample,) = evaluator.sample_and_score(policy, PROMPTS[:1], title="test")
    ids, count = torch.tensor([drawn[0].prompt_ids + drawn[0].response_ids]), len(drawn[0].response_ids)
    with torch.no_grad():
        ours, theirs = (
            (one.language_model(ids).logits[0, :-1].double() / 0.8).log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
            for one in (policy, evaluator.reference)
        )
    start = len(drawn[0].prompt_ids) - 1
    ratio = (theirs - ours)[start : start + count]
    assert sample.tokens == count > 1
    assert sample.kl_nats == pytest.approx(-ratio.sum().item(), abs=1e-4)
    assert sample.kl_k3_nats == pytest.approx((ratio.exp() - 1 - ratio).sum().item(), abs=1e-4)


def test_perplexity_equals_that_of_a_plain_forward(evaluator: Evaluator, policy_folder: Path) -> None:
    texts = [
        {"prompt": "The film", "response": " is dull", "ended": True},
        {"prompt": "I", "response": " loved it", "ended": False},
    ]
    network = AutoModelForCausalLM.from_pretrained(policy_folder, dtype=torch.float32)
    negative, count = 0.0, 0
    for row in texts:
        example = tokenize_example(evaluator.tokenizer, row["prompt"], row["response"], ended=row["ended"])
        ids = torch.tensor([example.prompt_ids + example.response_ids])
        labels = ids.clone()
        labels[0, : len(example.prompt_ids)] = -100
        with torch.no_grad():
            negative += network(ids, labels=labels).loss.item() * len(example.response_ids)
        count += len(example.response_ids)
    assert evaluator.perplexity(evaluator.reference, texts, title="t") == pytest.approx(
        math.exp(negative / count), rel=1e-4
    )


def test_metrics_of_the_baseline_against_itself(evaluator: Evaluator) -> None:
    samples = evaluator.sample_and_score(evaluator.reference, PROMPTS, title="test")
    metrics = policy_metrics(evaluator, samples, samples, 12.0)
    assert metrics.win_rate_vs_sft.as_json() == {"mean": 0.5, "low": 0.5, "high": 0.5}
    assert metrics.length_controlled_win_rate is None
    assert metrics.judge_gain.as_json() == metrics.reward_gain.as_json() == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert metrics.kl_nats_per_sequence == metrics.kl_k3_nats_per_sequence == metrics.kl_nats_per_token == 0.0
    assert [(row.category, row.prompts) for row in metrics.by_category] == [("kind 0", 3), ("kind 1", 3)]
    assert metrics.perplexity_held_out == 12.0
    assert metrics.evaluation_prompts == len(PROMPTS)
    assert metrics.mean_response_tokens == np.mean([sample.tokens for sample in samples])
    assert metrics.judge_score.mean == pytest.approx(np.mean([sample.judge_score for sample in samples]))


def test_scores_are_of_responses_that_ended_or_were_cut(evaluator: Evaluator, make_policy: PolicyMaker) -> None:
    policy = make_policy()
    policy.causal_lm.generation_config.eos_token_id = list(range(20, 60))
    samples = evaluator.sample_and_score(policy, PROMPTS, copies=4, title="test")
    assert {sample.ended for sample in samples} == {True, False}
    scored, other = (
        evaluator.reward_model.score(
            [Passage(one.prompt + one.response, one.ended is same) for one in samples], batch_size=8
        )
        for same in (True, False)
    )
    found = torch.tensor([sample.reward_score for sample in samples])
    assert torch.allclose(found, scored, atol=1e-4)
    assert bool(((found - other).abs() > 1e-3).all())


def test_a_sample_is_written_with_the_keys_that_the_report_reads() -> None:
    assert {field.name for field in fields(ScoredSample)} == set(Sample.model_fields)
