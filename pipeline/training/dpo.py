"""Direct Preference Optimization and its relatives, against a reference that is cached, switched off or copied."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from pipeline import group
from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.models.scoring import response_logps
from pipeline.objectives.preference import DpoOptions, Sides, dpo_loss
from pipeline.params.optimize import Dpo
from pipeline.preferences.scored import ScoredPair, TokenizedPair
from pipeline.resume import State
from pipeline.training.run import TrainingRun
from pipeline.training.schedule import Optimization, evaluation_batches
from pipeline.training.supervised import Batches, Objective, train_supervised

_Pair = TypeVar("_Pair", bound=TokenizedPair)


def train_dpo(
    policy: Policy,
    pairs: Sequence[ScoredPair],
    settings: Dpo,
    run: TrainingRun,
    *,
    pad_token_id: int,
    reference: Policy | None = None,
    validation: Sequence[TokenizedPair] = (),
) -> int:
    """Train in place. At the first step the policy is the reference, so its log-ratios are 0: checked.

    `run.on_step` gets `loss` (nats), `accuracy`, `margin`, `chosen_rewards`, `rejected_rewards` (implicit rewards),
    `chosen_logps_change`, `rejected_logps_change` (nats per response against the reference), `learning_rate` and
    `grad_norm`, and after the steps that `settings.eval_steps` names the first five of the validation pairs, as
    `validation_loss` and so on.

    Args:
        reference: the frozen copy of `settings.reference: frozen_copy`, which is changed when it is synced; None for
            cached log-probs and for adapters switched off.
        validation: pairs that nothing is learned from; may be empty.

    Returns:
        The step whose weights the policy has.

    Raises:
        PipelineError: the first log-ratios show that policy and reference differ, or the loss is not finite.
    """
    models = _Models(policy, reference, run.compute, pad_token_id)
    objective = _Preferences(models, pairs, settings, validation if settings.eval_steps else ())
    lengths = [len(pair) for pair in pairs]
    return train_supervised(policy, objective, lengths, settings, run, save_steps=settings.save_steps)


@dataclass(frozen=True)
class _Models:
    """The policy, the reference where it is a copy, and how both compute."""

    policy: Policy
    reference: Policy | None
    compute: Compute
    pad_token_id: int

    def logps(self, pairs: Sequence[TokenizedPair]) -> Sides:
        """Summed log-probs under the policy; gradient flows."""
        return pair_logps(self.policy, pairs, self.compute, pad_token_id=self.pad_token_id)

    def cached(self, pairs: Sequence[ScoredPair]) -> Sides:
        """Summed log-probs under the reference that the pairs bring along."""
        return Sides(
            torch.tensor([pair.ref_chosen_logps for pair in pairs], device=self.compute.device),
            torch.tensor([pair.ref_rejected_logps for pair in pairs], device=self.compute.device),
        )

    @torch.no_grad()
    def reference_logps(self, pairs: Sequence[ScoredPair], settings: Dpo) -> Sides:
        """Summed log-probs under the reference that the settings name."""
        if settings.reference == "cached":
            return self.cached(pairs)
        if settings.reference == "frozen_copy" and self.reference is None:
            raise TypeError("reference frozen_copy needs the copy")
        with self.policy.reference() if self.reference is None else nullcontext():
            frozen = self.reference or self.policy
            return pair_logps(frozen, pairs, self.compute, pad_token_id=self.pad_token_id)


class _Preferences(Objective):
    """The mean loss of the pairs of a whole optimiser step."""

    name, title = "dpo", "DPO"

    def __init__(
        self, models: _Models, pairs: Sequence[ScoredPair], settings: Dpo, validation: Sequence[TokenizedPair]
    ) -> None:
        """Scores the validation pairs with the policy, which is the reference until its first step."""
        self._models, self._pairs, self._settings = models, pairs, settings
        self._validation = self._scored(validation)
        self.validation_size = len(validation)
        self._options = DpoOptions(
            beta=settings.beta,
            loss=settings.loss,
            label_smoothing=settings.label_smoothing,
            simpo_gamma=settings.simpo_gamma,
            nll_coef=settings.nll_coef,
        )

    def backward(self, batches: Batches, optimization: Optimization, *, step: int) -> dict[str, float]:
        """See `Objective`; the first step is checked before anything is updated."""
        count = sum(len(batch) for batch in batches)
        rows: list[Tensor] = []
        for indices in group.dealt(batches):
            pairs = [self._pairs[index] for index in indices]
            logps = self._models.logps(pairs)
            ref_logps = self._models.reference_logps(pairs, self._settings)
            losses, columns = self._losses(pairs, logps, ref_logps)
            optimization.backward(losses.sum() / count)
            rows.append(columns)
        values = torch.cat(group.gathered_tensors(rows, self._models.compute.device))
        if step == 1:
            seen = [self._pairs[index] for indices in batches for index in indices]
            check_first_log_ratios(seen, values[:, 3:], precise=self._models.compute.dtype == torch.float32)
        return _step_metrics(values)

    def evaluate(self) -> dict[str, float]:
        """Of the validation pairs, as in training."""
        rows = []
        for pairs in group.dealt(self._batches(self._validation)):
            moves = self._settings.reference_sync_steps
            ref_logps = self._models.reference_logps(pairs, self._settings) if moves else self._models.cached(pairs)
            rows.append(self._losses(pairs, self._models.logps(pairs), ref_logps)[1])
        return _step_metrics(torch.cat(group.gathered_tensors(rows, self._models.compute.device)))

    def _losses(self, pairs: Sequence[TokenizedPair], logps: Sides, ref_logps: Sides) -> tuple[Tensor, Tensor]:
        """The loss of each pair, (N,), and without gradient what `_step_metrics` takes, (N, 5)."""
        result = dpo_loss(logps, ref_logps, _lengths(pairs, logps.chosen.device), self._options)
        changes = (logps.chosen - ref_logps.chosen, logps.rejected - ref_logps.rejected)
        columns = (result.losses, result.chosen_rewards, result.rejected_rewards, *changes)
        return result.losses, torch.stack([column.detach() for column in columns], 1)

    def _batches(self, pairs: Sequence[_Pair]) -> list[list[_Pair]]:
        """Each pair once, as they pass through the policy."""
        size, limit = self._settings.per_device_train_batch_size, self._models.compute.forward_limit
        lengths = [len(pair) for pair in pairs]
        return [[pairs[index] for index in indices] for indices in evaluation_batches(lengths, size, limit)]

    @torch.no_grad()
    def _scored(self, pairs: Sequence[TokenizedPair]) -> list[ScoredPair]:
        """With the log-probs of the policy as it is now."""
        self._models.policy.eval()
        batches = self._batches(pairs)
        found = [self._models.logps(batch) for batch in group.dealt(batches)]
        sides = group.gathered([torch.stack([logps.chosen, logps.rejected], 1).tolist() for logps in found])
        return [
            pair.scored(*both)
            for batch, those in zip(batches, sides, strict=True)
            for pair, both in zip(batch, those, strict=True)
        ]

    def updated(self, step: int) -> dict[str, float]:
        """Move the reference, where it follows the policy."""
        every, reference = self._settings.reference_sync_steps, self._models.reference
        if reference is not None and every and step % every == 0:
            sync_reference(reference, self._models.policy, alpha=self._settings.reference_mixup_alpha)
        return {}

    def state(self) -> State:
        """The reference, where it moves."""
        reference = self._models.reference
        moves = reference is not None and self._settings.reference_sync_steps
        return {"reference": reference.state_dict()} if reference is not None and moves else {}

    def restore(self, state: State) -> None:
        """See `Objective`."""
        if self._models.reference is not None and "reference" in state:
            self._models.reference.load_state_dict(state["reference"])


def pair_logps(policy: Policy, pairs: Sequence[TokenizedPair], compute: Compute, *, pad_token_id: int) -> Sides:
    """Log-probs summed over each response, from one forward pass."""
    examples = [example for pair in pairs for example in (pair.chosen, pair.rejected)]
    return Sides(*response_logps(policy, examples, compute, pad_token_id=pad_token_id).view(-1, 2).unbind(1))


@torch.no_grad()
def sync_reference(reference: Policy, policy: Policy, *, alpha: float) -> None:
    """ref <- alpha * policy + (1 - alpha) * ref, weight by weight (Gorbatovski et al. 2024, arXiv:2404.09656)."""
    for ours, theirs in zip(policy.causal_lm.parameters(), reference.causal_lm.parameters(), strict=True):
        theirs.lerp_(ours.to(theirs.dtype), alpha)


def check_first_log_ratios(pairs: Sequence[TokenizedPair], log_ratios: Tensor, *, precise: bool) -> None:
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


def _lengths(pairs: Sequence[TokenizedPair], device: torch.device) -> Sides:
    return Sides(
        torch.tensor([len(pair.chosen.response_ids) for pair in pairs], device=device, dtype=torch.float32),
        torch.tensor([len(pair.rejected.response_ids) for pair in pairs], device=device, dtype=torch.float32),
    )


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
