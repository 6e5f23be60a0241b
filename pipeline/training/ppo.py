"""Proximal Policy Optimization of a language model against a reward model.

After Huang et al. 2024, "The N+ Implementation Details of RLHF with PPO" (arXiv:2403.17031), and Ziegler et al. 2019
(arXiv:1909.08593). An iteration is a rollout (`rollout.py`), its update (`ppo_update.py`), and the KL coefficient of
the next one.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple

from pipeline.models.compute import Compute
from pipeline.models.engine import Engine
from pipeline.params.optimize import Ppo
from pipeline.params.schema import Sampling
from pipeline.progress import progress_bar
from pipeline.resume import State
from pipeline.seeding import python_random, torch_generator
from pipeline.training.controllers import KlController, RunningMoments
from pipeline.training.optimizer import make_optimizer
from pipeline.training.ppo_update import update_policy
from pipeline.training.resuming import restore_training, training_state
from pipeline.training.roles import Roles
from pipeline.training.rollout import PpoSetup, collect_rollout, rollout_metrics
from pipeline.training.rollout_samples import rollout_samples, shows
from pipeline.training.run import RolloutSample, TrainingRun
from pipeline.training.sampler_check import sampler_problem
from pipeline.training.saving import StateSaver
from pipeline.training.schedule import (
    Optimization,
    checkpoint_steps,
    learning_rate_schedule,
    trainable_parameters,
)


def train_ppo(
    roles: Roles,
    prompts: Sequence[str],
    settings: Ppo,
    sampling: Sampling,
    run: TrainingRun,
    *,
    engine: Engine | None = None,
) -> None:
    """Train the policy and its critic in place; one iteration is one rollout and the update from it.

    `run.on_step` gets the iteration (1-based) with the metrics of `rollout_metrics` and `update_policy`, and `kl_coef`.

    Args:
        roles: the reference need not be where the policy starts: a policy that another method has trained is
            improved with the KL to the reference of that method.
        prompts: those to train on: all of the split, or, as hybrid does, those of some categories.
        engine: who samples in place of the policy's network; None is the network.

    Raises:
        PipelineError: the first ratio is not 1, or a loss is not finite.
    """
    training = _Training(PpoSetup(roles, settings, sampling, run.compute, engine), prompts, run)
    keep = checkpoint_steps(training.iterations, settings.save_steps)
    batch = settings.rollout_batch_size
    bar = progress_bar(total=settings.total_episodes, initial=training.done * batch, title="PPO", unit="episode")
    with StateSaver(run.resume) as saver, bar:
        while training.done < training.iterations and not training.stopped:
            start = time.perf_counter()
            metrics, tokens = training.iterate()
            run.on_step(training.done, metrics)
            run.on_tokens(tokens, time.perf_counter() - start)
            if shows(training.done, training.iterations):
                run.on_samples(training.samples)
            if training.new_warning is not None:
                bar.write(f"warning: {training.new_warning}")
            bar.set_postfix(score=f"{metrics['score']:.2f}", kl=f"{metrics['kl_k1']:.2f}")
            bar.update(batch)
            if training.done in keep and not training.stopped:
                run.on_checkpoint(training.done)
            saver.offer(training.done, training.state)
            if training.stopped:
                bar.write(f"PPO stops early: KL {metrics['kl_k1']:.1f} nats exceeds max_kl {settings.max_kl}")


class _Training:
    """What one iteration hands to the next: models, optimiser, KL coefficient, random generators."""

    def __init__(self, setup: PpoSetup, prompts: Sequence[str], run: TrainingRun) -> None:
        self._setup = setup
        settings, compute = setup.settings, setup.compute
        self.iterations = ppo_iterations(settings)
        self._optimization = ppo_optimization(setup.roles, settings, compute, self.iterations)
        self._controller, self._moments = KlController.of(settings), RunningMoments()
        self._stream = prompt_stream(prompts, seed=run.seed)
        self._generator = torch_generator(run.seed, "ppo/rollout")
        self._minibatches = python_random(run.seed, "ppo/minibatches")
        self._models = [model for model in (setup.roles.policy, setup.roles.critic) if model is not None]
        self.done, self.stopped = 0, False
        self._warned = False
        self.new_warning: str | None = None
        self.samples: list[RolloutSample] = []
        self._restore(restore_training(run.resume, self._optimization, *self._models))

    def iterate(self) -> tuple[dict[str, float], int]:
        """One iteration: its metrics, and the tokens of its episodes."""
        settings = self._setup.settings
        # 1. episodes with rewards and advantages
        prompts = next_prompts(self._stream, settings)
        kl_coef = self._controller.coefficient
        rollout = collect_rollout(self._setup, prompts, self._generator, kl_coef=kl_coef, moments=self._moments)
        metrics = {**rollout_metrics(rollout), "kl_coef": kl_coef}
        self._check_sampler(metrics["sampler_kl"])
        if shows(self.done + 1, self.iterations):
            self.samples += rollout_samples(self._setup, prompts, rollout, iteration=self.done + 1)
        # 2. epochs of minibatch updates on the same episodes, reshuffled each epoch
        episodes = range(len(prompts))
        orders = [self._minibatches.sample(episodes, len(prompts)) for _ in range(settings.num_ppo_epochs)]
        metrics |= update_policy(
            self._setup,
            self._optimization,
            rollout,
            orders,
            check_ratio=self.done == 0,
            critic_only=self.done < settings.critic_warmup_iterations,
        )
        # 3. the KL coefficient of the next iteration
        self._controller.update(metrics["kl_k1"], episodes=len(prompts))
        self.done += 1
        self.stopped = metrics["kl_k1"] > settings.max_kl
        return metrics, int(rollout.batch.attention_mask.sum())

    def _check_sampler(self, sampler_kl: float) -> None:
        """Warn once a run; the report counts the rollouts."""
        problem = sampler_problem([sampler_kl], self._setup.settings.max_sampler_kl)
        self.new_warning = None if self._warned else problem
        self._warned = self._warned or problem is not None

    def state(self) -> State:
        """Everything that the iterations to come depend on."""
        more = {
            "kl_coef": self._controller.coefficient,
            "moments": list(astuple(self._moments)),
            "generator": self._generator.get_state(),
            "minibatches": self._minibatches.getstate(),
            "stopped": self.stopped,
            "samples": self.samples,
        }
        return training_state(self.done, self._optimization, *self._models, **more)

    def _restore(self, state: State) -> None:
        self.done = state["step"]
        self.stopped = state.get("stopped", False)
        self.samples = state.get("samples", [])
        if not self.done:
            return
        self._controller.coefficient, self._moments = state["kl_coef"], RunningMoments(*state["moments"])
        self._generator.set_state(state["generator"])
        self._minibatches.setstate(state["minibatches"])
        for _ in range(self.done):
            next_prompts(self._stream, self._setup.settings)


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

    Clipped together, a large value loss would shrink the policy's step. Both rates have the same schedule, see
    `learning_rate_schedule`.

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
    optimizer = make_optimizer(groups, settings.optimizer, eps=settings.adam_epsilon, weight_decay=0.0)
    steps = iterations * settings.num_ppo_epochs * settings.num_minibatches
    scheduler = learning_rate_schedule(
        optimizer, settings.lr_scheduler_type, warmup_ratio=settings.warmup_ratio, total_steps=steps
    )
    return Optimization(compute.accelerator, optimizer, scheduler, clipped, settings.max_grad_norm)
