"""Reward-model training on preference pairs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline import group
from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.reward import RewardModel
from pipeline.models.reward_texts import RewardTexts
from pipeline.objectives.preference import bradley_terry_loss
from pipeline.params.schema import TrainReward
from pipeline.preferences.pair import PreferencePair, passages_of
from pipeline.resume import State
from pipeline.training.loss_checks import flat_loss_problem, initial_loss_problem
from pipeline.training.run import TrainingRun
from pipeline.training.schedule import Optimization
from pipeline.training.supervised import Batches, Objective, train_supervised


def train_reward(
    model: RewardModel,
    pairs: Sequence[PreferencePair],
    validation: Sequence[PreferencePair],
    settings: TrainReward,
    run: TrainingRun,
) -> None:
    """Train in place with the Bradley-Terry loss, then shift the scores to mean 0 on the training responses.

    The training responses are samples of the reference policy, so 0 means "as good as the reference" to PPO.
    `run.on_step` gets `loss` (nats), `accuracy`, `margin` (score units), `learning_rate`, `grad_norm`, and after the
    steps that `settings.eval_steps` names the same three of the validation pairs, as `validation_loss` and so on.

    Args:
        validation: pairs that nothing is learned from; may be empty. Those that the model reads alike, whatever
            it learns, are not measured.

    Raises:
        PipelineError: `settings.use_margin` with a pair that has none, or the loss is not finite.
    """
    if settings.use_margin:
        check_margins([*pairs, *(validation if settings.eval_steps else ())])
    objective = _BradleyTerry(model, pairs, _told_apart(model.texts, validation), settings, run.compute)
    train_supervised(model, objective, objective.lengths, settings, run)
    model.eval()
    model.merge_adapters()
    model.shift(reference_mean(model, pairs))
    history = objective.losses
    for problem in (initial_loss_problem(history[0]) if settings.loss_is_plain else None, flat_loss_problem(history)):
        if problem:
            print(f"warning: {problem}", flush=True)


class _BradleyTerry(Objective):
    """The mean loss of the pairs of a whole optimiser step."""

    name, title = "train_reward", "reward model"

    def __init__(
        self,
        model: RewardModel,
        pairs: Sequence[PreferencePair],
        validation: Sequence[PreferencePair],
        settings: TrainReward,
        compute: Compute,
    ) -> None:
        self._model, self._pairs, self._validation = model, pairs, validation
        self._settings, self._compute = settings, compute
        chosen, rejected = (model.encode([pair.passages[side] for pair in pairs]) for side in (0, 1))
        self._encoded = list(zip(chosen, rejected, strict=True))
        self.lengths = [len(one) + len(other) for one, other in self._encoded]
        self.validation_size = len(validation)
        self.losses: list[float] = []

    def backward(self, batches: Batches, optimization: Optimization, *, step: int) -> dict[str, float]:
        """See `Objective`."""
        count = sum(len(batch) for batch in batches)
        losses, margins = list[Tensor](), list[Tensor]()
        for indices in group.dealt(batches):
            with self._compute.accelerator.autocast():
                chosen, rejected = self._model.forward_pairs([self._encoded[index] for index in indices])
            batch = [self._pairs[index] for index in indices]
            loss = self._losses(chosen, rejected, batch)
            optimization.backward(loss.sum() / count)
            losses.append(loss.detach())
            margins.append((chosen - rejected).detach())
        losses, margins = (group.gathered_tensors(found, self._compute.device) for found in (losses, margins))
        metrics = _pair_metrics(torch.cat(losses), torch.cat(margins))
        self.losses.append(metrics["loss"])
        return metrics

    def evaluate(self) -> dict[str, float]:
        """Of the validation pairs, as in training."""
        chosen, rejected = pair_scores(self._model, self._validation).unbind(1)
        return _pair_metrics(self._losses(chosen, rejected, self._validation), chosen - rejected)

    def _losses(self, chosen: Tensor, rejected: Tensor, pairs: Sequence[PreferencePair]) -> Tensor:
        """Of each pair, from the scores of its responses, (len(pairs),)."""
        return bradley_terry_loss(
            chosen,
            rejected,
            margins=_margins(pairs, chosen) if self._settings.use_margin else None,
            label_smoothing=self._settings.label_smoothing,
            centering_coef=self._settings.centering_coef,
        )

    def state(self) -> State:
        """The losses so far, which are looked at in the end."""
        return {"history": self.losses}

    def restore(self, state: State) -> None:
        """See `Objective`."""
        self.losses = state.get("history", [])


def _pair_metrics(losses: Tensor, margins: Tensor) -> dict[str, float]:
    """Means over pairs; both are (pairs,)."""
    return {
        "loss": losses.mean().item(),
        "accuracy": (margins > 0).float().mean().item(),
        "margin": margins.mean().item(),
    }


@torch.no_grad()
def shrink_fresh_head(model: RewardModel, pairs: Sequence[PreferencePair]) -> float:
    """Scale a fresh head down until the margins of its pairs are small, so that training begins near ln 2.

    The weights of a fresh head are drawn from N(0, 1/(d+1)). Margins are then small if the pooled states of two
    responses differ by less than 1. Those of encoders do; those of decoders differ by more, because their final norm
    scales them, and training would first have to unlearn large random margins. With margins of 0.3 (root mean square)
    the loss is within 0.17 of ln 2, whatever their signs.

    Args:
        model: its head has no bias yet.
        pairs: some of them are measured.

    Returns:
        The factor by which the weights were multiplied; 1 where the margins were small.
    """
    chosen, rejected = pair_scores(model, pairs[:: -(-len(pairs) // _MEASURED_PAIRS)]).unbind(1)
    size = (chosen - rejected).square().mean().sqrt().item()
    factor = min(1.0, _LARGEST_FRESH_MARGIN / size) if size else 1.0
    if factor < 1:
        model.head.weight.mul_(factor)
    return factor


_LARGEST_FRESH_MARGIN = 0.3
_MEASURED_PAIRS = 64


def check_margins(pairs: Sequence[PreferencePair]) -> None:
    """Every pair says by how much its chosen response is better.

    Raises:
        PipelineError: one does not.
    """
    missing = [pair.id for pair in pairs if pair.margin is None]
    if missing:
        raise PipelineError(
            f"train_reward.use_margin is true, but {len(missing)} of {len(pairs)} pairs have no margin, the first "
            f"with id {missing[0]}. Add margins to the pairs, or set use_margin to false."
        )


def _margins(pairs: Sequence[PreferencePair], like: Tensor) -> Tensor:
    return torch.tensor([pair.margin for pair in pairs], device=like.device, dtype=like.dtype)


def different_pairs(texts: RewardTexts, pairs: Sequence[PreferencePair]) -> list[PreferencePair]:
    """The pairs whose two texts differ in the tokens that the model reads.

    The texts of the others differ only in what is cut off behind `max_length`, or in characters that the tokenizer
    drops: nothing can be learned from them.

    Raises:
        PipelineError: no pair is left.
    """
    found = _told_apart(texts, pairs)
    if pairs and not found:
        raise PipelineError(
            f"of all {len(pairs)} pairs the reward model reads both texts alike within train_reward.max_length: "
            "raise it."
        )
    return found


def _told_apart(texts: RewardTexts, pairs: Sequence[PreferencePair]) -> list[PreferencePair]:
    encoded = texts.encode(passages_of(pairs))
    return [pair for pair, one, other in zip(pairs, encoded[::2], encoded[1::2], strict=True) if one != other]


def adopt_reward_model(model: RewardModel, pairs: Sequence[PreferencePair]) -> dict[str, float]:
    """Shift a finished reward model to mean 0 on the training responses; nothing else about it changes.

    Returns:
        `training_pairs_loss` (nats) and `accuracy` on the training pairs.
    """
    scores = pair_scores(model, pairs)
    model.shift(scores.mean().item())
    chosen, rejected = scores.unbind(1)
    return {
        "training_pairs_loss": bradley_terry_loss(chosen, rejected).mean().item(),
        "accuracy": (chosen > rejected).float().mean().item(),
    }


def reference_mean(model: RewardModel, pairs: Sequence[PreferencePair]) -> float:
    """Mean score of all responses of the pairs."""
    return pair_scores(model, pairs).mean().item()


def pair_scores(model: RewardModel, pairs: Sequence[PreferencePair]) -> Tensor:
    """Scores of the chosen and the rejected response of each pair, (len(pairs), 2), without gradient."""
    model.eval()
    return model.score(passages_of(pairs), batch_size=64).view(-1, 2)
