"""Direct Preference Optimization with reference log-probs computed beforehand."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.data.tokens import TokenizedExample
from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.models.scoring import response_logps
from pipeline.objectives.preference import dpo_loss
from pipeline.params.schema import Dpo
from pipeline.progress import progress_bar
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
    pad_token_id: int,
    seed: int,
    on_step: Callable[[int, dict[str, float]], None],
    on_tokens: Callable[[int, float], None],
    on_checkpoint: Callable[[int], None],
) -> None:
    """Train in place. At the first step the policy is the reference, so its loss is ln 2: checked.

    Args:
        on_step: called with the step (1-based) and `loss` (nats), `accuracy`, `margin`, `chosen_rewards`,
            `rejected_rewards` (implicit rewards), `chosen_logps_change`, `rejected_logps_change` (nats per
            response against the reference), `learning_rate`, `grad_norm`.
        on_tokens: called with the tokens of a step and its seconds.
        on_checkpoint: called at `frontier_checkpoints` evenly spaced steps, after the update.

    Raises:
        PipelineError: the first loss shows that policy and reference differ, or the loss is not finite.
    """
    steps = plan_batches([len(pair) for pair in pairs], settings, seed=seed, name="dpo")
    keep = checkpoint_steps(len(steps), settings.frontier_checkpoints)
    optimization = supervised_optimization(policy, settings, compute.accelerator, total_steps=len(steps))
    policy.train()
    with progress_bar(total=len(steps), title="DPO", unit="step") as bar:
        for step, batches in enumerate(steps, start=1):
            start = time.perf_counter()
            count = sum(len(batch) for batch in batches)
            rows: list[Tensor] = []
            for indices in batches:
                batch_pairs = [pairs[index] for index in indices]
                chosen, rejected = pair_logps(policy, batch_pairs, compute, pad_token_id=pad_token_id)
                ref_chosen, ref_rejected = _reference(batch_pairs, chosen.device)
                result = dpo_loss(
                    policy_chosen_logps=chosen,
                    policy_rejected_logps=rejected,
                    ref_chosen_logps=ref_chosen,
                    ref_rejected_logps=ref_rejected,
                    beta=settings.beta,
                    label_smoothing=settings.label_smoothing,
                )
                optimization.backward(result.losses.sum() / count)
                rewards = (result.chosen_rewards, result.rejected_rewards)
                rows.append(torch.stack([result.losses.detach(), *rewards], 1))
            values = torch.cat(rows)
            metrics = _step_metrics(values, beta=settings.beta)
            if step == 1:
                check_first_loss(values, beta=settings.beta, precise=compute.dtype == torch.float32)
            metrics |= {"learning_rate": optimization.learning_rate, "grad_norm": optimization.step()}
            on_step(step, metrics)
            on_tokens(sum(len(pairs[index]) for batch in batches for index in batch), time.perf_counter() - start)
            bar.set_postfix(loss=f"{metrics['loss']:.3f}", accuracy=f"{metrics['accuracy']:.2f}")
            bar.update()
            if step in keep:
                on_checkpoint(step)


def pair_logps(
    policy: Policy, pairs: Sequence[ScoredPair], compute: Compute, *, pad_token_id: int
) -> tuple[Tensor, Tensor]:
    """Summed log-probs (B,) of the chosen and the rejected responses, from one forward pass."""
    examples = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
    chosen, rejected = response_logps(policy, examples, compute, pad_token_id=pad_token_id).chunk(2)
    return chosen, rejected


def check_first_loss(values: Tensor, *, beta: float, precise: bool) -> None:
    """Before any update the policy is the reference: both implicit rewards are 0 and the loss is ln 2.

    Checked on the response that differs most, because references on the wrong rows cancel in a mean. The tolerance is
    on the log-probs of a response, in nats: fp32 rounding, or bf16 rounding over a few dozen tokens in batches of
    other shapes.

    Args:
        values: (N, 3): loss, chosen reward and rejected reward of each pair of the first step.

    Raises:
        PipelineError: policy and reference differ.
    """
    tolerance = 0.02 if precise else 2.0
    drift = values[:, 1:].abs().max().item() / beta
    if drift > tolerance:
        raise PipelineError(
            f"before any update the policy's log-probs differ from the reference's by {drift:.3f} nats on a response "
            f"(mean loss {values[:, 0].mean().item():.4f}, expected ln 2): the reference log-probs are of another "
            "model, tokenizer or precision. Run `dvc repro -f score_reference`."
        )


def _reference(pairs: Sequence[ScoredPair], device: torch.device) -> tuple[Tensor, Tensor]:
    return (
        torch.tensor([pair.ref_chosen_logps for pair in pairs], device=device),
        torch.tensor([pair.ref_rejected_logps for pair in pairs], device=device),
    )


def _step_metrics(rows: Tensor, *, beta: float) -> dict[str, float]:
    """Means over the pairs of a step; `rows` (N, 3) holds loss, chosen reward, rejected reward."""
    loss, chosen, rejected = rows.mean(0).tolist()
    return {
        "loss": loss,
        "accuracy": (rows[:, 1] > rows[:, 2]).float().mean().item(),
        "margin": chosen - rejected,
        "chosen_rewards": chosen,
        "rejected_rewards": rejected,
        "chosen_logps_change": chosen / beta,
        "rejected_logps_change": rejected / beta,
    }
