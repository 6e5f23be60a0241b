"""What a policy may lose against SFT, by the limits of `write_report`: one rule for flags, seeds and the table."""

from pipeline.params.schema import WriteReport
from pipeline.results.policies import PolicyMetrics


def perplexity_ratio(policy: PolicyMetrics, sft: PolicyMetrics) -> float:
    """Held-out perplexity over that of SFT; 1 where there are no held-out texts."""
    if policy.perplexity_held_out is None or sft.perplexity_held_out is None:
        return 1.0
    return policy.perplexity_held_out / sft.perplexity_held_out


def distinct_ratio(policy: float, sft: float) -> float:
    """Distinct-2 as a share of SFT's; 1 where SFT has none to lose."""
    return policy / sft if sft else 1.0


def unlearns_language(policy: PolicyMetrics, sft: PolicyMetrics, params: WriteReport) -> bool:
    """Whether the policy's perplexity exceeds `max_perplexity_ratio` times SFT's."""
    return perplexity_ratio(policy, sft) > params.max_perplexity_ratio


def loses_diversity(policy: PolicyMetrics, sft: PolicyMetrics, params: WriteReport) -> bool:
    """Whether the policy's distinct-2 is below `min_distinct_ratio` times SFT's."""
    return distinct_ratio(policy.distinct_2, sft.distinct_2) < params.min_distinct_ratio
