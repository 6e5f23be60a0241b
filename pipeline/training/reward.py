"""Reward-model training on preference pairs."""

import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from pipeline.data.preferences import TextPair
from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.reward import RewardModel
from pipeline.objectives.preference import bradley_terry_loss
from pipeline.params.schema import TrainReward
from pipeline.progress import progress_bar
from pipeline.resume import Resume
from pipeline.training.loss_checks import flat_loss_problem, initial_loss_problem
from pipeline.training.resuming import restore_training, training_state
from pipeline.training.schedule import plan_batches, supervised_optimization


def train_reward(
    model: RewardModel,
    pairs: Sequence[TextPair],
    validation: Sequence[TextPair],
    settings: TrainReward,
    compute: Compute,
    *,
    seed: int,
    on_step: Callable[[int, dict[str, float]], None],
    on_tokens: Callable[[int, float], None],
    resume: Resume | None = None,
) -> None:
    """Train in place with the Bradley-Terry loss, then shift the scores to mean 0 on the training responses.

    The training responses are samples of the reference policy, so 0 means "as good as the reference" to PPO.

    Args:
        on_step: called with the step (1-based) and `loss` (nats), `accuracy`, `margin` (score units),
            `learning_rate`, `grad_norm`; after each epoch also with `validation_accuracy`.
        on_tokens: called with the tokens of a step and its seconds.
        resume: where an earlier execution may have left its state, and this one leaves its own.
    """
    if settings.use_margin:
        check_margins(pairs)
    encoded = list(
        zip(model.encode([pair.chosen for pair in pairs]), model.encode([pair.rejected for pair in pairs]), strict=True)
    )
    lengths = [len(chosen) + len(rejected) for chosen, rejected in encoded]
    steps = plan_batches(lengths, settings, seed=seed, name="train_reward", limit=compute.forward_limit)
    per_epoch = len(steps) // settings.num_train_epochs
    optimization = supervised_optimization(model, settings, compute.accelerator, total_steps=len(steps))
    state = restore_training(resume, optimization, model)
    done = state["step"]
    history: list[float] = state.get("history", [])
    with progress_bar(total=len(steps), initial=done, title="reward model", unit="step") as bar:
        for step, batches in enumerate(steps[done:], start=done + 1):
            start = time.perf_counter()
            model.train()
            count = sum(len(batch) for batch in batches)
            losses, margins, tokens = [], [], 0
            for indices in batches:
                batch = [pairs[index] for index in indices]
                with compute.accelerator.autocast():
                    chosen, rejected = model.forward_pairs([encoded[index] for index in indices])
                loss = bradley_terry_loss(
                    chosen,
                    rejected,
                    margins=_margins(batch, chosen) if settings.use_margin else None,
                    label_smoothing=settings.label_smoothing,
                    centering_coef=settings.centering_coef,
                )
                optimization.backward(loss.sum() / count)
                losses.append(loss.detach())
                margins.append((chosen - rejected).detach())
                tokens += sum(lengths[index] for index in indices)
            metrics = {"learning_rate": optimization.learning_rate} | optimization.step()
            margin = torch.cat(margins)
            metrics |= {
                "loss": torch.cat(losses).mean().item(),
                "accuracy": (margin > 0).float().mean().item(),
                "margin": margin.mean().item(),
            }
            on_tokens(tokens, time.perf_counter() - start)
            if step % per_epoch == 0 and validation:
                metrics["validation_accuracy"] = pair_accuracy(model, validation)
            on_step(step, metrics)
            history.append(metrics["loss"])
            bar.set_postfix(loss=f"{metrics['loss']:.3f}", accuracy=f"{metrics['accuracy']:.2f}")
            bar.update()
            if resume is not None:
                resume.save(step, partial(training_state, step, optimization, model, history=history))
    model.eval()
    model.merge_adapters()
    model.shift(reference_mean(model, pairs))
    plain = not settings.use_margin and not settings.centering_coef
    for problem in (initial_loss_problem(history[0]) if plain else None, flat_loss_problem(history)):
        if problem:
            print(f"warning: {problem}", flush=True)


@torch.no_grad()
def shrink_fresh_head(model: RewardModel, pairs: Sequence[TextPair]) -> float:
    """Scale a fresh head down until the margins of its pairs are small, so that training begins near ln 2.

    Weights ~ N(0, 1/(d+1)) suppose that what two responses differ in has a size below 1. The pooled states of encoders
    do; a decoder's do not, whose final norm has scales of its own, and a head that is sure of random answers has those
    to unlearn. With margins of 0.3 (root mean square) the loss is within 0.17 of ln 2, whatever their signs.

    Args:
        model: its head has no bias yet.
        pairs: some of them are measured.

    Returns:
        What the weights were multiplied with; 1 where the margins were small.
    """
    chosen, rejected = pair_scores(model, pairs[:: -(-len(pairs) // _MEASURED_PAIRS)]).unbind(1)
    size = (chosen - rejected).square().mean().sqrt().item()
    factor = min(1.0, _LARGEST_FRESH_MARGIN / size) if size else 1.0
    if factor < 1:
        model.head.weight.mul_(factor)
    return factor


_LARGEST_FRESH_MARGIN = 0.3
_MEASURED_PAIRS = 64


def check_margins(pairs: Sequence[TextPair]) -> None:
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


def _margins(pairs: Sequence[TextPair], like: Tensor) -> Tensor:
    return torch.tensor([pair.margin for pair in pairs], device=like.device, dtype=like.dtype)


def adopt_reward_model(model: RewardModel, pairs: Sequence[TextPair]) -> dict[str, float]:
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


def pair_accuracy(model: RewardModel, pairs: Sequence[TextPair]) -> float:
    """Share of pairs whose chosen response scores higher."""
    chosen, rejected = pair_scores(model, pairs).unbind(1)
    return (chosen > rejected).float().mean().item()


def reference_mean(model: RewardModel, pairs: Sequence[TextPair]) -> float:
    """Mean score of all responses of the pairs."""
    return pair_scores(model, pairs).mean().item()


def pair_scores(model: RewardModel, pairs: Sequence[TextPair]) -> Tensor:
    """Scores of the chosen and the rejected response of each pair, (len(pairs), 2), without gradient."""
    model.eval()
    texts = [text for pair in pairs for text in (pair.chosen, pair.rejected)]
    return model.score(texts, batch_size=64).view(-1, 2)
