"""How good a policy is, on prompts that nothing was trained on."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from pipeline.data.passages import Passage
from pipeline.data.table_rows import PromptRow, TextRow
from pipeline.data.tokens import TokenizedExample, batched, collate, tokenize_example
from pipeline.evaluation.statistics import Range, bootstrap_mean
from pipeline.group import map_dealt
from pipeline.judges.protocol import Judge, VerdictRecord
from pipeline.models.chunked_sampling import sample_texts
from pipeline.models.compute import Compute
from pipeline.models.decoding import decode_examples
from pipeline.models.engine import Engine
from pipeline.models.policy import Policy
from pipeline.models.reward import RewardModel
from pipeline.models.sampling import Sampler
from pipeline.models.scoring import score_responses
from pipeline.objectives.kl import kl_estimates
from pipeline.params.schema import Sampling
from pipeline.results.document import Interval, not_finite
from pipeline.resume import Resume
from pipeline.seeding import torch_generator


@dataclass(frozen=True)
class ScoredSample:
    """One continuation of one evaluation prompt, with everything that was measured on it."""

    id: str
    prompt: str
    category: str
    """The category of the prompt."""
    response: str
    ended: bool
    tokens: int
    judge_score: float
    reward_score: float
    kl_nats: float
    """log pi(response) - log pi_sft(response), the k1 estimate: negative for some samples."""
    kl_k3_nats: float
    """The k3 estimate, summed over the tokens: never negative."""
    second_judge_score: float | None = None
    """Score by the second judge, where there is one."""

    @property
    def passage(self) -> Passage:
        """The response, and whether it ended."""
        return Passage(self.response, self.ended)

    def as_row(self) -> dict[str, object]:
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
    resamples: int | None
    """Bootstrap resamples of every interval; None in a stage that reports no intervals."""
    seed: int
    resume: Resume | None = None
    end_of_turn: str | None = None
    """Text with which the chat template ends a turn; None without a template."""
    second_judge: Judge | None = None
    """A judge of another family, where policies are measured a second time."""
    engine: Engine | None = None
    """Who samples in place of a policy's network; None is the network."""

    def sample_and_score(
        self,
        policy: Policy,
        prompts: Sequence[PromptRow],
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
        generator = torch_generator(self.seed, "evaluate_policy/samples")
        sampler = Sampler.of(policy, self.tokenizer, self.sampling, engine=self.engine)
        asked = [row["prompt"] for row in rows]
        sampled = sample_texts(sampler, asked, generator=generator, title=title, resume=self.resume)
        continuations = decode_examples(sampled, self.tokenizer, sampler.stop_ids)
        texts = [one.after(row["prompt"]) for row, one in zip(rows, continuations, strict=True)]
        against: Sequence[Passage] = continuations
        if baseline is not None:
            against = [sample.passage for sample in matched(baseline, [row["id"] for row in rows])]
        judged = ties_where_unknown(self.judge.rate([row["prompt"] for row in rows], continuations, against))
        rewards = self.reward_model.score(texts, batch_size=self.batch_size)
        k1, k3 = self._sequence_kl(policy, sampled)
        return [
            ScoredSample(
                id=row["id"],
                prompt=row["prompt"],
                category=row["category"],
                response=one.text,
                ended=one.ended,
                tokens=one.tokens,
                judge_score=float(judged[i]),
                reward_score=float(rewards[i]),
                kl_nats=k1[i],
                kl_k3_nats=k3[i],
            )
            for i, (row, one) in enumerate(zip(rows, continuations, strict=True))
        ]

    @torch.no_grad()
    def _sequence_kl(self, policy: Policy, sampled: Sequence[TokenizedExample]) -> tuple[list[float], list[float]]:
        """k1 and k3 of each sampled response against the SFT policy, in nats, at the sampling temperature."""
        k1, k3 = [0.0] * len(sampled), [0.0] * len(sampled)
        if policy is self.reference:
            return k1, k3
        # rows of similar length together, so that little is padding
        order = sorted(range(len(sampled)), key=lambda row: len(sampled[row]))

        def measured(rows: Sequence[int]) -> list[tuple[int, float, float]]:
            batch = collate([sampled[row] for row in rows], pad_token_id=self.tokenizer.pad_token_id)
            batch = batch.to(self.compute.device)
            with self.compute.accelerator.autocast():
                ours = policy(batch, temperature=self.sampling.temperature).logprobs
                theirs = self.reference(batch, temperature=self.sampling.temperature).logprobs
            estimates = kl_estimates(ours, theirs)
            return list(zip(rows, estimates.k1.sum(1).tolist(), estimates.k3.sum(1).tolist(), strict=True))

        for found in map_dealt(measured, batched(order, self.batch_size)):
            for row, one, other in found:
                k1[row], k3[row] = one, other
        return k1, k3

    def perplexity(self, policy: Policy, texts: Sequence[TextRow], *, title: str) -> float | None:
        """exp(mean negative log-prob of a response token) over real texts, at temperature 1.

        Returns:
            None without texts, as a source of prompts alone leaves it.
        """
        if not texts:
            return None
        examples = [
            tokenize_example(
                self.tokenizer, row["prompt"], row["response"], ended=row["ended"], end_of_turn=self.end_of_turn
            )
            for row in texts
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

    def judge_again(self, samples: Sequence[ScoredSample], baseline: Sequence[ScoredSample]) -> list[ScoredSample]:
        """The samples with the scores of the second judge, in [0, 1]; as they are without one.

        Args:
            baseline: the SFT policy's samples, as of `sample_and_score`; these themselves where they are its own.
        """
        if self.second_judge is None:
            return list(samples)
        before = matched(baseline, [sample.id for sample in samples])
        scores = self.second_judge.rate(
            [sample.prompt for sample in samples],
            [sample.passage for sample in samples],
            [sample.passage for sample in before],
        )
        known = ties_where_unknown(scores).tolist()
        return [replace(sample, second_judge_score=score) for sample, score in zip(samples, known, strict=True)]

    def verdicts(self) -> list[VerdictRecord]:
        """The verdicts of both judges, if they are of a kind that keeps them."""
        return [verdict for judge in (self.judge, self.second_judge) if judge for verdict in judge.verdicts()]

    def interval(self, values: Sequence[float] | np.ndarray, name: str, *, within: Range | None = None) -> Interval:
        """Bootstrap mean over prompts; `within` is the range of a value, see `bootstrap_mean`.

        Raises:
            PipelineError: a value is NaN or infinite.
        """
        if self.resamples is None:
            raise ValueError("this stage has no bootstrap_resamples, so no intervals")
        if not np.isfinite(values).all():
            raise not_finite(name)
        return bootstrap_mean(values, resamples=self.resamples, seed=self.seed, name=name, within=within)


def matched(samples: Sequence[ScoredSample], ids: Sequence[str]) -> list[ScoredSample]:
    """The sample on the prompt of each id."""
    by_id = {sample.id: sample for sample in samples}
    return [by_id[one] for one in ids]


def ties_where_unknown(preferences: np.ndarray) -> np.ndarray:
    """Shares (N,) with a tie, 0.5, where the judge gave no usable verdict."""
    return np.where(np.isnan(preferences), 0.5, preferences)
