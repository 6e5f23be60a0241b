"""Reward-model training on preference pairs."""

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipeline.data.preferences import TextPair
from pipeline.models.compute import Compute
from pipeline.models.reward import RewardModel
from pipeline.objectives.preference import bradley_terry_loss
from pipeline.params.schema import TrainReward
from pipeline.progress import progress_bar
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
) -> None:
    """Train in place with the Bradley-Terry loss, then shift the scores to mean 0 on the training responses.

    The training responses are samples of the reference policy, so 0 means "as good as the reference" to PPO.

    Args:
        on_step: called with the step (1-based) and `loss` (nats), `accuracy`, `margin` (score units),
            `learning_rate`, `grad_norm`; after each epoch also with `validation_accuracy`.
        on_tokens: called with the tokens of a step and its seconds.
    """
    lengths = [len(pair.chosen) + len(pair.rejected) for pair in pairs]
    steps = plan_batches(lengths, settings, seed=seed, name="train_reward")
    per_epoch = len(steps) // settings.num_train_epochs
    optimization = supervised_optimization(model, settings, compute.accelerator, total_steps=len(steps))
    with progress_bar(total=len(steps), title="reward model", unit="step") as bar:
        for step, batches in enumerate(steps, start=1):
            start = time.perf_counter()
            model.train()
            count = sum(len(batch) for batch in batches)
            losses, margins, tokens = [], [], 0
            for indices in batches:
                chosen, rejected, batch_tokens = _scores(model, [pairs[index] for index in indices], compute)
                loss = bradley_terry_loss(chosen, rejected, label_smoothing=settings.label_smoothing)
                optimization.backward(loss.sum() / count)
                losses.append(loss.detach())
                margins.append((chosen - rejected).detach())
                tokens += batch_tokens
            metrics = {"learning_rate": optimization.learning_rate, "grad_norm": optimization.step()}
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
            bar.set_postfix(loss=f"{metrics['loss']:.3f}", accuracy=f"{metrics['accuracy']:.2f}")
            bar.update()
    model.eval()
    model.shift(reference_mean(model, pairs))


def _scores(model: RewardModel, pairs: Sequence[TextPair], compute: Compute) -> tuple[Tensor, Tensor, int]:
    """Chosen and rejected scores (B,) from one forward pass, and the number of real tokens in it."""
    ids, mask = model.tokenize([pair.chosen for pair in pairs] + [pair.rejected for pair in pairs])
    with compute.accelerator.autocast():
        scores = model(ids, mask)
    chosen, rejected = scores.chunk(2)
    return chosen, rejected, int(mask.sum())


def pair_accuracy(model: RewardModel, pairs: Sequence[TextPair]) -> float:
    """Share of pairs whose chosen response scores higher."""
    model.eval()
    texts = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
    chosen, rejected = model.score(texts, batch_size=64).chunk(2)
    return (chosen > rejected).float().mean().item()


def reference_mean(model: RewardModel, pairs: Sequence[TextPair]) -> float:
    """Mean score of all responses of the pairs."""
    texts = [text for pair in pairs for text in (pair.chosen, pair.rejected)]
    return model.score(texts, batch_size=64).mean().item()
