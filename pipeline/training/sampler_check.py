"""Whether PPO's tokens come from the policy that is trained: asked while it trains, and again by the report."""

from collections.abc import Sequence


def sampler_problem(kls: Sequence[float], limit: float) -> str | None:
    """A warning where what sampled was further from the policy that is trained than the limit allows.

    Args:
        kls: `sampler_kl` of each rollout, KL(sampler || policy) in nats per token.
        limit: `max_sampler_kl` of the method.

    Returns:
        None where no rollout exceeds the limit.
    """
    above = [kl for kl in kls if kl > limit]
    if not above:
        return None
    where = "a rollout" if len(kls) == 1 else f"{len(above)} of {len(kls)} rollouts"
    seen = f"What sampled {where} is up to {max(above):.2g} nats a token (KL) away from the policy that is trained"
    meaning = "The gradient is a mean over the wrong distribution"
    advice = (
        "Set importance_truncation to 2.0, which weighs tokens by both probabilities, or bring both together: "
        "runtime.merged_sampling false, or runtime.precision fp32; with sampling.engine vllm, see whether the server "
        "serves the adapters of each rollout, and in which number format (--dtype)"
    )
    return f"{seen}, more than max_sampler_kl {limit:g}. {meaning}. {advice}."
