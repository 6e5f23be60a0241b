"""Supervised fine-tuning: next-token loss on the responses."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from pipeline.data.tokens import TokenizedExample
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.models.scoring import response_logps
from pipeline.params.base import SupervisedSchedule
from pipeline.progress import progress_bar
from pipeline.resume import Resume
from pipeline.training.resuming import restore_training, training_state
from pipeline.training.schedule import plan_batches, supervised_optimization


def train_sft(
    policy: Policy,
    examples: Sequence[TokenizedExample],
    schedule: SupervisedSchedule,
    compute: Compute,
    *,
    pad_token_id: int,
    seed: int,
    on_step: Callable[[int, dict[str, float]], None],
    on_tokens: Callable[[int, float], None],
    resume: Resume | None = None,
) -> None:
    """Train in place.

    The loss is the mean negative log-prob of the response tokens of a whole optimiser step, so that eight batches
    accumulated weigh tokens as one batch of their union does.

    Args:
        on_step: called with the step (1-based) and `loss` (nats per token), `learning_rate`, `grad_norm`.
        on_tokens: called with the prompt and response tokens of a step and its seconds.
        resume: where an earlier execution may have left its state, and this one leaves its own.
    """
    steps = plan_batches(
        [len(example) for example in examples],
        schedule,
        seed=seed,
        name="train_sft",
        limit=compute.forward_limit,
    )
    optimization = supervised_optimization(policy, schedule, compute.accelerator, total_steps=len(steps))
    done = restore_training(resume, optimization, policy)["step"]
    policy.train()
    with progress_bar(total=len(steps), initial=done, title="SFT", unit="step") as bar:
        for step, batches in enumerate(steps[done:], start=done + 1):
            start = time.perf_counter()
            response_tokens = sum(len(examples[index].response_ids) for batch in batches for index in batch)
            loss_sum = 0.0
            for indices in batches:
                batch = [examples[index] for index in indices]
                # a response that was cut to nothing adds nothing
                loss = -response_logps(policy, batch, compute, pad_token_id=pad_token_id).sum() / max(
                    1, response_tokens
                )
                optimization.backward(loss)
                loss_sum += loss.item()
            learning_rate = optimization.learning_rate
            norm = optimization.step()
            on_step(step, {"loss": loss_sum, "learning_rate": learning_rate} | norm)
            tokens = sum(len(examples[index]) for batch in batches for index in batch)
            on_tokens(tokens, time.perf_counter() - start)
            bar.set_postfix(loss=f"{loss_sum:.3f}")
            bar.update()
            if resume is not None:
                resume.save(step, partial(training_state, step, optimization, policy))
