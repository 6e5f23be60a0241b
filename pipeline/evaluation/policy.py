"""What a policy is worth on prompts that nothing was trained on."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import ResponseBatch, batched, tokenize_example
from pipeline.evaluation.statistics import bootstrap_mean, distinct_n, win_shares
from pipeline.judges.text_classifier import TextClassifierJudge
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy, load_policy, load_tokenizer
from pipeline.models.reward import RewardModel, load_reward_model
from pipeline.models.sampling import decode_responses, sample_batches
from pipeline.models.scoring import score_responses
from pipeline.models.text_format import check_same_texts
from pipeline.params.schema import EvaluatePolicy, Sampling
from pipeline.resume import Resume
from pipeline.seeding import torch_generator


@dataclass(frozen=True)
class ScoredSample:
    """One continuation of one evaluation prompt, with everything that was measured on it."""

    id: str
    prompt: str
    response: str
    ended: bool
    tokens: int
    judge_score: float
    reward_score: float
    kl_nats: float
    """log pi(response) - log pi_sft(response): an estimate, negative for some samples."""

    def as_row(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Evaluator:
    """The frozen measuring instruments, the same for every policy."""

    judge: TextClassifierJudge
    reward_model: RewardModel
    reference: Policy
    tokenizer: PreTrainedTokenizerBase
    sampling: Sampling
    compute: Compute
    batch_size: int
    resamples: int
    seed: int
    resume: Resume | None = None

    @classmethod
    def load(
        cls,
        *,
        judge: Path,
        reward_model: Path,
        reference: Path,
        settings: EvaluatePolicy,
        sampling: Sampling,
        compute: Compute,
        seed: int,
        resume: Resume | None = None,
    ) -> "Evaluator":
        """From the checkpoint folders of the judge, the reward model and the SFT policy (the reference).

        Raises:
            PipelineError: reward model and policy were trained on texts of different formats.
        """
        check_same_texts(reference, reward_model)
        return cls(
            judge=TextClassifierJudge.load(judge),
            reward_model=load_reward_model(reward_model, compute),
            reference=load_policy(reference, compute, finetuning=None),
            tokenizer=load_tokenizer(reference),
            sampling=sampling,
            compute=compute,
            batch_size=settings.batch_size,
            resamples=settings.bootstrap_resamples,
            seed=seed,
            resume=resume,
        )

    def sample_and_score(
        self, policy: Policy, prompts: Sequence[dict[str, str]], *, copies: int = 1, title: str
    ) -> list[ScoredSample]:
        """`copies` continuations of each prompt, those of one prompt adjacent.

        Every policy draws the same random numbers, which makes comparisons between them less noisy.
        """
        rows = [prompt for prompt in prompts for _ in range(copies)]
        generator = torch_generator(self.seed, "evaluate_policy/samples", self.compute.device)
        batches = sample_batches(
            policy,
            self.tokenizer,
            [row["prompt"] for row in rows],
            sampling=self.sampling,
            generator=generator,
            title=title,
            resume=self.resume,
        )
        continuations = [one for batch in batches for one in decode_responses(batch, self.tokenizer)]
        texts = [row["prompt"] + one.text for row, one in zip(rows, continuations, strict=True)]
        judged = self.judge.score(texts)
        rewards = self.reward_model.score(texts, batch_size=self.batch_size)
        kl = self._sequence_kl(policy, batches)
        return [
            ScoredSample(
                row["id"], row["prompt"], one.text, one.ended, one.tokens, float(judged[i]), float(rewards[i]), kl[i]
            )
            for i, (row, one) in enumerate(zip(rows, continuations, strict=True))
        ]

    @torch.no_grad()
    def _sequence_kl(self, policy: Policy, batches: Sequence[ResponseBatch]) -> list[float]:
        """log pi - log pi_sft of each sampled response, in nats, at the sampling temperature."""
        if policy is self.reference:
            return [0.0] * sum(len(batch.input_ids) for batch in batches)
        values: list[float] = []
        for batch in batches:
            for rows in batched(range(len(batch.input_ids)), self.batch_size):
                part = batch.rows(torch.tensor(rows))
                with self.compute.accelerator.autocast():
                    ours = policy(part, temperature=self.sampling.temperature).logprobs
                    theirs = self.reference(part, temperature=self.sampling.temperature).logprobs
                values += (ours - theirs).sum(1).tolist()
        return values

    def perplexity(self, policy: Policy, texts: Sequence[dict[str, Any]], *, title: str) -> float:
        """exp(mean negative log-prob of a response token) over real texts, at temperature 1.

        Args:
            texts: rows with `prompt`, `response` and `ended`.
        """
        examples = [
            tokenize_example(self.tokenizer, row["prompt"], row["response"], ended=row["ended"]) for row in texts
        ]
        logps = score_responses(
            policy,
            examples,
            self.compute,
            pad_token_id=self.tokenizer.pad_token_id,
            batch_size=self.batch_size,
            title=title,
        )
        return math.exp(-sum(logps) / sum(len(example.response_ids) for example in examples))

    def interval(self, values: Sequence[float] | np.ndarray, name: str) -> Any:
        """Bootstrap mean over prompts."""
        return bootstrap_mean(values, resamples=self.resamples, seed=self.seed, name=name)


def policy_metrics(
    evaluator: Evaluator, samples: Sequence[ScoredSample], baseline: Sequence[ScoredSample], perplexity: float
) -> dict[str, Any]:
    """The metrics of one policy against the SFT policy's samples on the same prompts."""
    judged = [sample.judge_score for sample in samples]
    kl = evaluator.interval([sample.kl_nats for sample in samples], "kl")
    wins = win_shares(judged, [sample.judge_score for sample in baseline])
    return {
        "judge_score": evaluator.interval(judged, "judge_score"),
        "reward_score": evaluator.interval([sample.reward_score for sample in samples], "reward_score"),
        "win_rate_vs_sft": evaluator.interval(wins, "win_rate_vs_sft"),
        "kl_nats_per_sequence": kl["mean"],
        "kl_interval": kl,
        "perplexity_held_out": perplexity,
        "distinct_2": distinct_n([sample.response for sample in samples], 2),
        "mean_response_tokens": float(np.mean([sample.tokens for sample in samples])),
        "eos_rate": float(np.mean([sample.ended for sample in samples])),
        "evaluation_prompts": len(samples),
    }


def frontier_point(evaluator: Evaluator, samples: Sequence[ScoredSample], *, step: int) -> dict[str, Any]:
    """Where a checkpoint on the way stands: KL, reward-model score and judge score."""
    return {
        "label": f"step {step}",
        "step": step,
        "kl_nats_per_sequence": float(np.mean([sample.kl_nats for sample in samples])),
        "reward_score": evaluator.interval([sample.reward_score for sample in samples], "frontier/reward"),
        "judge_score": evaluator.interval([sample.judge_score for sample in samples], "frontier/judge"),
    }
