"""The typed contents of what is measured of a policy: metrics, samples, best-of-n."""

from pydantic import FiniteFloat

from pipeline.results.document import Count, Document, Interval, VerdictCounts


class CategoryMetrics(Document):
    """One policy on the evaluation prompts of one category; `judge_gain` is over SFT on the same prompts."""

    category: str
    prompts: Count
    judge_score: Interval
    judge_gain: Interval
    reward_score: FiniteFloat
    win_rate_vs_sft: Interval
    kl_nats_per_sequence: FiniteFloat


class ScoreMetrics(Document):
    """Mean scores, and how much higher they are than the SFT policy's on the same prompts."""

    judge_score: Interval
    judge_gain: Interval
    second_judge_score: Interval | None = None
    """As `second_judge_gain`, where there is a second judge."""
    second_judge_gain: Interval | None = None
    reward_score: Interval
    reward_gain: Interval


class KlMetrics(Document):
    """KL from the SFT policy in nats by both estimators, per sequence and per token (all nats / all tokens)."""

    kl_nats_per_sequence: FiniteFloat
    kl_interval: Interval
    kl_nats_per_token: FiniteFloat
    kl_k3_nats_per_sequence: FiniteFloat
    kl_k3_interval: Interval
    kl_k3_nats_per_token: FiniteFloat


class DiversityMetrics(Document):
    """What repeats: between the responses (distinct-n, self-BLEU), and inside each (3-grams)."""

    distinct_1: FiniteFloat
    distinct_2: FiniteFloat
    distinct_3: FiniteFloat
    self_bleu: FiniteFloat | None
    repeated_3grams: FiniteFloat


class LengthMetrics(Document):
    """Response lengths in tokens, and shares of responses that end with EOS, or are cut at the longest length."""

    mean_response_tokens: FiniteFloat
    median_response_tokens: FiniteFloat
    p90_response_tokens: FiniteFloat
    longest_response_tokens: FiniteFloat
    eos_rate: FiniteFloat
    eos_interval: Interval
    cut_rate: FiniteFloat
    cut_interval: Interval


class PolicyFigures(ScoreMetrics, KlMetrics, DiversityMetrics, LengthMetrics):
    """What policies are compared by."""

    win_rate_vs_sft: Interval
    length_controlled_win_rate: FiniteFloat | None
    length_controlled_interval: Interval | None
    perplexity_held_out: FiniteFloat | None
    by_category: list[CategoryMetrics]


class PolicyMetrics(PolicyFigures):
    """One policy on the evaluation prompts."""

    evaluation_prompts: Count
    judge_verdicts: VerdictCounts | None = None
    """How the judge came to its verdicts, of one that keeps count."""


class LastCheckpoint(Document):
    """The end of training on the evaluation prompts, where another checkpoint was selected."""

    judge_score: Interval
    reward_score: Interval
    kl_nats_per_sequence: FiniteFloat


class TrainedMetrics(PolicyMetrics):
    """The selected checkpoint on the evaluation prompts; `last` is None where it is the last one."""

    selected_step: Count
    last_step: Count
    last: LastCheckpoint | None


class FrontierPoint(Document):
    """Best-of-n of the SFT policy."""

    label: str
    best_of_n: Count
    kl_nats_per_sequence: FiniteFloat
    reward_score: Interval
    judge_score: Interval
    judge_scores: list[FiniteFloat]
    """By validation prompt, in the order of the checkpoints' scores."""


class Frontier(Document):
    points: list[FrontierPoint]


class Sample(Document):
    """One continuation of one evaluation prompt. The text is a model's: it may contain anything."""

    id: str
    prompt: str
    category: str
    response: str
    ended: bool
    tokens: Count
    judge_score: FiniteFloat
    reward_score: FiniteFloat
    kl_nats: FiniteFloat
    kl_k3_nats: FiniteFloat
    second_judge_score: FiniteFloat | None = None
