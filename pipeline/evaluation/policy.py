"""What a policy is worth on prompts that nothing was trained on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import ResponseBatch, batched, tokenize_example
from pipeline.evaluation.statistics import bootstrap_mean, distinct_n
from pipeline.judges.protocol import Judge
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy, load_policy, load_tokenizer
from pipeline.models.reward import RewardModel, load_reward_model
from pipeline.models.sampling import decode_responses, sample_batches
from pipeline.models.scoring import score_responses
from pipeline.models.text_format import check_same_texts
from pipeline.params.evaluation import Measuring
from pipeline.params.schema import Sampling
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

    judge: Judge
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
        judge: Judge,
        reward_model: Path,
        reference: Path,
        settings: Measuring,
        sampling: Sampling,
        compute: Compute,
        seed: int,
        resume: Resume | None = None,
    ) -> "Evaluator":
        """From the judge, and the checkpoint folders of the reward model and the SFT policy (the reference).

        Raises:
            PipelineError: reward model and policy were trained on texts of different formats.
        """
        check_same_texts(reference, reward_model)
        return cls(
            judge=judge,
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
        self,
        policy: Policy,
        prompts: Sequence[dict[str, str]],
        *,
        copies: int = 1,
        title: str,
        baseline: Sequence[ScoredSample] | None = None,
    ) -> list[ScoredSample]:
        """`copies` continuations of each prompt, those of one prompt adjacent.

        Every policy draws the same random numbers, which makes comparisons between them less noisy.

        Args:
            baseline: the SFT policy's samples, which a judge that compares rates these against; None when these are
                the baseline themselves.
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
        responses = [one.text for one in continuations]
        against = _responses_of(baseline, [row["id"] for row in rows]) if baseline is not None else responses
        judged = _ties_where_unknown(self.judge.rate([row["prompt"] for row in rows], responses, against))
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


def _responses_of(samples: Sequence[ScoredSample], ids: Sequence[str]) -> list[str]:
    """The response to the prompt of each id."""
    responses: Mapping[str, str] = {sample.id: sample.response for sample in samples}
    return [responses[one] for one in ids]


def _ties_where_unknown(preferences: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(preferences), 0.5, preferences)


def policy_metrics(
    evaluator: Evaluator, samples: Sequence[ScoredSample], baseline: Sequence[ScoredSample], perplexity: float
) -> dict[str, Any]:
    """The metrics of one policy against the SFT policy's samples on the same prompts.

    A comparison for which the judge gave no usable verdict counts as a tie; `judge_verdicts` says how many did.
    """
    judged = [sample.judge_score for sample in samples]
    kl = evaluator.interval([sample.kl_nats for sample in samples], "kl")
    responses = [sample.response for sample in samples]
    against = _responses_of(baseline, [sample.id for sample in samples])
    wins = _ties_where_unknown(evaluator.judge.compare([sample.prompt for sample in samples], responses, against))
    counts = evaluator.judge.counts()
    return {
        "judge_score": evaluator.interval(judged, "judge_score"),
        "reward_score": evaluator.interval([sample.reward_score for sample in samples], "reward_score"),
        "win_rate_vs_sft": evaluator.interval(wins, "win_rate_vs_sft"),
        "kl_nats_per_sequence": kl["mean"],
        "kl_interval": kl,
        "perplexity_held_out": perplexity,
        "distinct_2": distinct_n(responses, 2),
        "mean_response_tokens": float(np.mean([sample.tokens for sample in samples])),
        "eos_rate": float(np.mean([sample.ended for sample in samples])),
        "evaluation_prompts": len(samples),
        **({"judge_verdicts": counts} if counts else {}),
    }
