"""Direct Preference Optimization and its relatives, against a reference that is cached, switched off or copied."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pipeline.data.tokens import TokenizedExample
from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.models.scoring import response_logps
from pipeline.objectives.preference import dpo_loss
from pipeline.params.optimize import Dpo
from pipeline.progress import progress_bar
from pipeline.resume import Resume
from pipeline.training.resuming import restore_training, training_state
from pipeline.training.schedule import checkpoint_steps, plan_batches, supervised_optimization


@dataclass(frozen=True)
class ScoredPair:
    """A pair as token ids, with the summed log-probs (nats) of both responses under the frozen reference."""

    chosen: TokenizedExample
    rejected: TokenizedExample
    ref_chosen_logps: float
    ref_rejected_logps: float

    def __len__(self) -> int:
        return len(self.chosen) + len(self.rejected)


def train_dpo(
    policy: Policy,
    pairs: Sequence[ScoredPair],
    settings: Dpo,
    compute: Compute,
    *,
    reference: Policy | None = None,
    pad_token_id: int,
    seed: int,
    on_step: Callable[[int, dict[str, float]], None],
    on_tokens: Callable[[int, float], None],
    on_checkpoint: Callable[[int], None],
    resume: Resume | None = None,
) -> None:
    """Train in place. At the first step the policy is the reference, so its log-ratios are 0: checked.

    Args:
        reference: the frozen copy of `settings.reference: frozen_copy`, which is changed when it is synced; None for
            cached log-probs and for adapters switched off.
        on_step: called with the step (1-based) and `loss` (nats), `accuracy`, `margin`, `chosen_rewards`,
            `rejected_rewards` (implicit rewards), `chosen_logps_change`, `rejected_logps_change` (nats per
            response against the reference), `learning_rate`, `grad_norm`.
        on_tokens: called with the tokens of a step and its seconds.
        on_checkpoint: called with the step after every `save_steps` steps but the last.
        resume: where an earlier execution may have left its state, and this one leaves its own.

    Raises:
        PipelineError: the first log-ratios show that policy and reference differ, or the loss is not finite.
    """
    steps = plan_batches([len(pair) for pair in pairs], settings, seed=seed, name="dpo", limit=compute.forward_limit)
    keep = checkpoint_steps(len(steps), settings.save_steps)
    optimization = supervised_optimization(policy, settings, compute.accelerator, total_steps=len(steps))
    state = restore_training(resume, optimization, policy)
    done = state["step"]
    if reference is not None and "reference" in state:
        reference.load_state_dict(state["reference"])
    policy.train()
    with progress_bar(total=len(steps), initial=done, title="DPO", unit="step") as bar:
        for step, batches in enumerate(steps[done:], start=done + 1):
            start = time.perf_counter()
            count = sum(len(batch) for batch in batches)
            rows: list[Tensor] = []
            for indices in batches:
                batch_pairs = [pairs[index] for index in indices]
                chosen, rejected = pair_logps(policy, batch_pairs, compute, pad_token_id=pad_token_id)
                ref_chosen, ref_rejected = reference_logps(
                    policy, reference, batch_pairs, settings, compute, pad_token_id=pad_token_id
                )
                result = dpo_loss(
                    policy_chosen_logps=chosen,
                    policy_rejected_logps=rejected,
                    ref_chosen_logps=ref_chosen,
                    ref_rejected_logps=ref_rejected,
                    chosen_lengths=_lengths([pair.chosen for pair in batch_pairs], chosen.device),
                    rejected_lengths=_lengths([pair.rejected for pair in batch_pairs], chosen.device),
                    beta=settings.beta,
                    loss=settings.loss,
                    label_smoothing=settings.label_smoothing,
                    simpo_gamma=settings.simpo_gamma,
                    nll_coef=settings.nll_coef,
                )
                optimization.backward(result.losses.sum() / count)
                changes = (chosen - ref_chosen, rejected - ref_rejected)
                columns = (result.losses, result.chosen_rewards, result.rejected_rewards, *changes)
                rows.append(torch.stack([column.detach() for column in columns], 1))
            values = torch.cat(rows)
            metrics = _step_metrics(values)
            if step == 1:
                seen = [pairs[index] for indices in batches for index in indices]
                check_first_log_ratios(seen, values[:, 3:], precise=compute.dtype == torch.float32)
            metrics |= {"learning_rate": optimization.learning_rate} | optimization.step()
            if reference is not None and settings.reference_sync_steps and step % settings.reference_sync_steps == 0:
                sync_reference(reference, policy, alpha=settings.reference_mixup_alpha)
            on_step(step, metrics)
            on_tokens(sum(len(pairs[index]) for batch in batches for index in batch), time.perf_counter() - start)
            bar.set_postfix(loss=f"{metrics['loss']:.3f}", accuracy=f"{metrics['accuracy']:.2f}")
            bar.update()
            if step in keep:
                on_checkpoint(step)
            if resume is not None:
                moved = reference is not None and settings.reference_sync_steps
                more = {"reference": reference.state_dict()} if reference is not None and moved else {}
                resume.save(step, partial(training_state, step, optimization, policy, **more))


def pair_logps(
    policy: Policy, pairs: Sequence[ScoredPair], compute: Compute, *, pad_token_id: int
) -> tuple[Tensor, Tensor]:
    """Summed log-probs (B,) of the chosen and the rejected responses, from one forward pass."""
    examples = [example for pair in pairs for example in (pair.chosen, pair.rejected)]
    chosen, rejected = response_logps(policy, examples, compute, pad_token_id=pad_token_id).view(-1, 2).unbind(1)
    return chosen, rejected


@torch.no_grad()
def reference_logps(
    policy: Policy,
    reference: Policy | None,
    pairs: Sequence[ScoredPair],
    settings: Dpo,
    compute: Compute,
    *,
    pad_token_id: int,
) -> tuple[Tensor, Tensor]:
    """Summed log-probs (B,) of the chosen and the rejected responses under the reference that the settings name."""
    if settings.reference == "cached":
        device = compute.device
        return (
            torch.tensor([pair.ref_chosen_logps for pair in pairs], device=device),
            torch.tensor([pair.ref_rejected_logps for pair in pairs], device=device),
        )
    if settings.reference == "frozen_copy" and reference is None:
        raise TypeError("reference frozen_copy needs the copy")
    with policy.reference() if reference is None else nullcontext():
        return pair_logps(reference or policy, pairs, compute, pad_token_id=pad_token_id)


@torch.no_grad()
def sync_reference(reference: Policy, policy: Policy, *, alpha: float) -> None:
    """ref <- alpha * policy + (1 - alpha) * ref, weight by weight (Gorbatovski et al. 2024, arXiv:2404.09656)."""
    for ours, theirs in zip(policy.causal_lm.parameters(), reference.causal_lm.parameters(), strict=True):
        theirs.lerp_(ours.to(theirs.dtype), alpha)


def check_first_log_ratios(pairs: Sequence[ScoredPair], log_ratios: Tensor, *, precise: bool) -> None:
    """Before any update the policy is the reference: every log-ratio is 0, up to rounding.

    Rounding errors of tokens add up like steps of a random walk, so a response may be off by a multiple of the root of
    its tokens. Each response is checked, because references on the wrong rows cancel in a mean; and the means of both
    columns, in which rounding cancels, and a reference that is a little off on every response does not.

    Args:
        log_ratios: (len(pairs), 2), log pi - log pi_ref of the chosen and the rejected response, in nats.
        precise: computed in fp32.

    Raises:
        PipelineError: policy and reference differ.
    """
    tokens = torch.tensor([[len(pair.chosen.response_ids), len(pair.rejected.response_ids)] for pair in pairs])
    drift = log_ratios.float().cpu()
    steps = drift / tokens.clamp(min=_FEWEST_TOKENS).sqrt()
    limit = _FP32_ROUNDING if precise else _BF16_ROUNDING
    mean_limit = limit / min(len(pairs), _MOST_INDEPENDENT) ** 0.5
    if bool((steps.abs() > limit).any()) or bool((steps.mean(0).abs() > mean_limit).any()):
        raise PipelineError(
            f"before any update the policy's log-probs differ from the reference's by {drift.abs().max().item():.3f} "
            f"nats on a response and by {drift.mean(0).abs().max().item():.3f} in the mean: the reference log-probs "
            "are of another model, tokenizer or precision. Run `dvc repro -f score_reference`."
        )


# Rounding of a response's log-prob in another batch, in nats over the root of its tokens: twice the largest that was
# measured. In bf16 that was 0.106, of 606 responses of 24 tokens of a 135M model. Models of two and four layers reach
# 0.012 on responses of 24 to 2,000 tokens, alone in a row without padding-free attention against four with it, and
# 0.076 against fp32; their means over 12 or 32 responses 0.0008 and 0.0085. One training step of such a model moves a
# response of 2,000 tokens by 0.2 to 0.6 (adapters at 2e-3, full at 2.2e-4).
_BF16_ROUNDING = 0.21
_FP32_ROUNDING = 0.004
_FEWEST_TOKENS = 24
# rounding is not quite independent of the response: of more responses the mean may be off as of so many
_MOST_INDEPENDENT = 64


def _lengths(examples: Sequence[TokenizedExample], device: torch.device) -> Tensor:
    return torch.tensor([len(example.response_ids) for example in examples], device=device, dtype=torch.float32)


def _step_metrics(rows: Tensor) -> dict[str, float]:
    """Means over the pairs of a step; `rows` (N, 5) holds loss, chosen and rejected reward, and both log-ratios."""
    loss, chosen, rejected, chosen_change, rejected_change = rows.mean(0).tolist()
    return {
        "loss": loss,
        "accuracy": (rows[:, 1] > rows[:, 2]).float().mean().item(),
        "margin": chosen - rejected,
        "chosen_rewards": chosen,
        "rejected_rewards": rejected,
        "chosen_logps_change": chosen_change,
        "rejected_logps_change": rejected_change,
    }
