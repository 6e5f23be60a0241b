"""Proximal Policy Optimization of a language model against a reward model.

The steps are numbered as in Huang et al. 2024, "The N+ Implementation Details of RLHF with PPO"
(arXiv:2403.17031), and Ziegler et al. 2019 (arXiv:1909.08593).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from functools import partial

import torch
from transformers import get_linear_schedule_with_warmup

from pipeline.models.compute import Compute
from pipeline.params.optimize import Ppo
from pipeline.params.schema import Sampling
from pipeline.progress import progress_bar
from pipeline.resume import Resume
from pipeline.seeding import python_random, torch_generator
from pipeline.training.controllers import KlController, RunningMoments
from pipeline.training.ppo_update import update_policy
from pipeline.training.resuming import restore_training, training_state
from pipeline.training.rollout import Roles, collect_rollout, rollout_metrics
from pipeline.training.sampler_check import sampler_problem
from pipeline.training.schedule import Optimization, checkpoint_steps, trainable_parameters


def train_ppo(
    roles: Roles,
    prompts: Sequence[str],
    settings: Ppo,
    sampling: Sampling,
    compute: Compute,
    *,
    seed: int,
    on_step: Callable[[int, dict[str, float]], None],
    on_tokens: Callable[[int, float], None],
    on_checkpoint: Callable[[int], None],
    resume: Resume | None = None,
) -> None:
    """Train the policy and its critic in place; one iteration is one rollout and the update from it.

    Args:
        roles: the reference need not be where the policy starts: a policy that another method has trained is
            improved with the KL to the reference of that method.
        prompts: those to train on; a part of them is targeted training.
        on_step: called with the iteration (1-based), the metrics of `rollout_metrics` and `update_policy`, and
            `kl_coef`.
        on_tokens: called with the tokens of an iteration's episodes and its seconds.
        on_checkpoint: called with the iteration after every `save_steps` iterations but the last.
        resume: where an earlier execution may have left its state, and this one leaves its own.

    Raises:
        PipelineError: the first ratio is not 1, or a loss is not finite.
    """
    iterations = ppo_iterations(settings)
    keep = checkpoint_steps(iterations, settings.save_steps)
    optimization = ppo_optimization(roles, settings, compute, iterations)
    controller, moments = KlController.of(settings), RunningMoments()
    stream = prompt_stream(prompts, seed=seed)
    generator = torch_generator(seed, "ppo/rollout", compute.device)
    rng = python_random(seed, "ppo/minibatches")
    models = [model for model in (roles.policy, roles.critic) if model is not None]
    state = restore_training(resume, optimization, *models)
    done = state["step"]
    if done:
        controller.coefficient, moments = state["kl_coef"], RunningMoments(*state["moments"])
        generator.set_state(state["generator"])
        rng.setstate(state["minibatches"])
        for _ in range(done):
            next_prompts(stream, settings)
    batch, warned = settings.rollout_batch_size, False
    with progress_bar(total=settings.total_episodes, initial=done * batch, title="PPO", unit="episode") as bar:
        for iteration in range(1 + done, iterations + 1):
            if state.get("stopped"):
                break
            start = time.perf_counter()
            # 1. sample responses, score them, and compute old log-probs, values, KL-shaped rewards and advantages
            batch_prompts = next_prompts(stream, settings)
            rollout = collect_rollout(
                roles,
                batch_prompts,
                settings,
                sampling,
                compute,
                generator,
                kl_coef=controller.coefficient,
                moments=moments,
            )
            metrics = {**rollout_metrics(rollout), "kl_coef": controller.coefficient}
            problem = sampler_problem([metrics["sampler_kl"]], settings.max_sampler_kl)
            if problem is not None and not warned:
                bar.write(f"warning: {problem}")
            warned = warned or problem is not None  # once a run; the report counts the rollouts
            # 2. several epochs of minibatch updates on the same episodes, reshuffled each epoch
            orders = [rng.sample(range(len(batch_prompts)), len(batch_prompts)) for _ in range(settings.num_ppo_epochs)]
            metrics |= update_policy(
                roles,
                optimization,
                rollout,
                orders,
                settings,
                sampling,
                compute,
                check_ratio=iteration == 1,
                critic_only=iteration <= settings.critic_warmup_iterations,
            )
            # 3. the KL coefficient of the next iteration
            controller.update(metrics["kl_k1"], episodes=len(batch_prompts))
            on_step(iteration, metrics)
            on_tokens(int(rollout.batch.attention_mask.sum()), time.perf_counter() - start)
            bar.set_postfix(score=f"{metrics['score']:.2f}", kl=f"{metrics['kl_k1']:.2f}")
            bar.update(len(batch_prompts))
            stopped = metrics["kl_k1"] > settings.max_kl
            if iteration in keep and not stopped:
                on_checkpoint(iteration)
            if resume is not None:
                more = {
                    "kl_coef": controller.coefficient,
                    "moments": list(astuple(moments)),
                    "generator": generator.get_state(),
                    "minibatches": rng.getstate(),
                    "stopped": stopped,
                }
                resume.save(iteration, partial(training_state, iteration, optimization, *models, **more))
            if stopped:
                bar.write(f"PPO stops early: KL {metrics['kl_k1']:.1f} nats exceeds max_kl {settings.max_kl}")
                break


def ppo_iterations(settings: Ppo) -> int:
    """Rollouts of the whole run, each with its update."""
    return settings.total_episodes // settings.rollout_batch_size


def prompt_stream(prompts: Sequence[str], *, seed: int) -> Iterator[str]:
    """Endless prompts: every prompt once, in a new order each pass.

    Raises:
        ValueError: there are no prompts.
    """
    if not prompts:
        raise ValueError("PPO needs prompts, and there are none")
    rng = python_random(seed, "ppo/prompts")
    while True:
        yield from rng.sample(list(prompts), len(prompts))


def next_prompts(stream: Iterator[str], settings: Ppo) -> list[str]:
    """The prompts of one rollout; the episodes of one prompt are adjacent."""
    different = settings.rollout_batch_size // settings.samples_per_prompt
    return [prompt for _ in range(different) for prompt in [next(stream)] * settings.samples_per_prompt]


def ppo_optimization(roles: Roles, settings: Ppo, compute: Compute, iterations: int) -> Optimization:
    """AdamW with a learning rate and a gradient norm of its own for the policy and for its critic.

    Clipped together, a large value loss would shrink the policy's step. Both rates rise linearly to their full value
    and decay linearly to 0.

    Raises:
        TypeError: the settings need a critic and there is none, or they need none and there is one.
    """
    head = roles.policy.value_head
    critics = [module for module in (head, roles.critic) if module is not None]
    if len(critics) != (settings.advantage_estimator == "gae"):
        raise TypeError(f"advantage_estimator {settings.advantage_estimator} with {len(critics)} critics")
    values = [parameter for critic in critics for parameter in trainable_parameters(critic)]
    known = {id(parameter) for parameter in values}
    others = [parameter for parameter in trainable_parameters(roles.policy) if id(parameter) not in known]
    groups, clipped = [{"params": others, "lr": settings.learning_rate}], {"grad_norm": others}
    if values:
        groups.append({"params": values, "lr": settings.critic_learning_rate})
        clipped["critic_grad_norm"] = values
    optimizer = torch.optim.AdamW(groups, eps=settings.adam_epsilon, weight_decay=0.0, fused=True)
    steps = iterations * settings.num_ppo_epochs * settings.num_minibatches
    scheduler = get_linear_schedule_with_warmup(optimizer, round(settings.warmup_ratio * steps), steps)
    return Optimization(compute.accelerator, optimizer, scheduler, clipped, settings.max_grad_norm)
