"""Supervised fine-tuning: next-token loss on the responses, or on every turn of the assistant."""

from collections.abc import Sequence

from pipeline import group
from pipeline.data.tokens import TokenizedExample
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.models.scoring import response_logps
from pipeline.params.base import SupervisedTraining
from pipeline.training.run import TrainingRun
from pipeline.training.schedule import Optimization, evaluation_batches
from pipeline.training.supervised import Batches, Objective, train_supervised


def train_sft(
    policy: Policy,
    examples: Sequence[TokenizedExample],
    schedule: SupervisedTraining,
    run: TrainingRun,
    *,
    pad_token_id: int,
    validation: Sequence[TokenizedExample] = (),
) -> int:
    """Train in place; `run.on_step` gets `loss` (nats per token), `learning_rate`, `grad_norm`.

    After the steps that `schedule.eval_steps` names it gets `validation_loss`, too.

    Args:
        validation: examples that nothing is learned from; may be empty.

    Returns:
        The step whose weights the policy has.
    """
    objective = _NextToken(
        policy,
        examples,
        validation,
        run.compute,
        batch_size=schedule.per_device_train_batch_size,
        pad_token_id=pad_token_id,
    )
    return train_supervised(policy, objective, [len(example) for example in examples], schedule, run)


class _NextToken(Objective):
    """The mean negative log-prob of the learned tokens of a whole optimiser step.

    So eight batches accumulated weigh tokens as one batch of their union does.
    """

    name, title = "train_sft", "SFT"

    def __init__(
        self,
        policy: Policy,
        examples: Sequence[TokenizedExample],
        validation: Sequence[TokenizedExample],
        compute: Compute,
        *,
        batch_size: int,
        pad_token_id: int,
    ) -> None:
        self._policy, self._examples, self._compute, self._pad = policy, examples, compute, pad_token_id
        self._batch_size = batch_size
        # what was cut before anything that is learned has no loss
        self._validation = [example for example in validation if example.trained_tokens]
        self.validation_size = len(self._validation)

    def backward(self, batches: Batches, optimization: Optimization, *, step: int) -> dict[str, float]:
        """See `Objective`."""
        tokens = sum(self._examples[index].trained_tokens for batch in batches for index in batch)
        losses: list[float] = []
        for indices in group.dealt(batches):
            batch = [self._examples[index] for index in indices]
            logps = response_logps(self._policy, batch, self._compute, pad_token_id=self._pad)
            # a response that was cut to nothing adds nothing
            loss = -logps.sum() / max(1, tokens)
            optimization.backward(loss)
            losses.append(loss.item())
        return {"loss": _total(group.gathered(losses))}

    def evaluate(self) -> dict[str, float]:
        """The mean over all learned tokens, as in training."""
        tokens = sum(example.trained_tokens for example in self._validation)
        lengths = [len(example) for example in self._validation]
        losses = []
        for indices in group.dealt(evaluation_batches(lengths, self._batch_size, self._compute.forward_limit)):
            batch = [self._validation[index] for index in indices]
            losses.append(-response_logps(self._policy, batch, self._compute, pad_token_id=self._pad).sum().item())
        return {"loss": _total(group.gathered(losses)) / tokens}


def _total(values: Sequence[float]) -> float:
    """Added one after the other: `sum` of newer Pythons has other last digits."""
    total = 0.0
    for value in values:
        total += value
    return total
