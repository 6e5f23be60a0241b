"""Whether a stage will fit into the memory, asked before it starts, and what to change where it will not."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from pipeline import group
from pipeline.data.tokens import AUTO_FROZEN_LIMIT, AUTO_LIMIT, ForwardLimit
from pipeline.errors import PipelineError
from pipeline.memory.conditions import Conditions
from pipeline.memory.need import needed_bytes
from pipeline.memory.reading import Reading
from pipeline.memory.work import Work
from pipeline.models.machine import total_memory
from pipeline.params.schema import Runtime

_GIB = 2**30
_WORTH = 0.98
"""A change that leaves more of the need than this is not advised."""
_CERTAIN = 1.6
"""An estimate this many times the limit is refused. Tests allow it half as much again as what is measured
(docs/operations.md), so below that a run is warned of, and may go on."""


@dataclass(frozen=True)
class Remedy:
    """A change of params.yaml, and what is needed after it."""

    key: str
    value: object
    work: Work | Reading
    conditions: Conditions

    @property
    def need(self) -> int:
        return needed_bytes(self.work, self.conditions)


@dataclass(frozen=True)
class Fit:
    """An estimate against its limit, in bytes."""

    need: int
    limit: int
    remedies: tuple[Remedy, ...]
    """What makes it fit, or as small as it can be; empty where it fits."""

    @property
    def fits(self) -> bool:
        return self.need <= self.limit

    @property
    def hopeless(self) -> bool:
        """Whether so much more is needed than there is that the error of the estimate cannot explain it."""
        return self.need > _CERTAIN * self.limit

    def __str__(self) -> str:
        return f"needs about {self.need_gib} of {self.limit_gib}"

    @property
    def need_gib(self) -> str:
        """For people."""
        return f"{self.need / _GIB:.1f} GiB"

    @property
    def limit_gib(self) -> str:
        """For people."""
        return f"{self.limit / _GIB:.1f} GiB"

    @property
    def problem(self) -> str:
        """How much is needed and how much there is, and what to change, as the end of a sentence."""
        if not self.remedies:
            way = "No setting of it would help: take a smaller model, or another machine."
        else:
            changes = " and ".join(f"{one.key}: {one.value}" for one in self.remedies)
            least = self.remedies[-1].need
            enough = "" if least <= self.limit else ", which is still too much: take a smaller model, too"
            way = f"Set {changes} (about {least / _GIB:.1f} GiB{enough})."
        return f"{str(self).replace(' of ', ', and there are ')}. {way}"


def check_fit(work: Work | Reading, runtime: Runtime) -> None:
    """Print what a stage will need, and what to change where that is more than there is.

    Raises:
        PipelineError: so much more is needed that the error of the estimate cannot explain it.
    """
    fit = estimate_fit(work, Conditions.of(runtime))
    if fit.hopeless:
        raise PipelineError(f"{work.doing} {fit.problem}")
    print(f"  memory  {fit}" if fit.fits else f"  memory  may not be enough: {work.doing} {fit.problem}", flush=True)


def estimate_fit(work: Work | Reading, conditions: Conditions, *, limit: int | None = None) -> Fit:
    """The estimated peak against the memory.

    Args:
        limit: bytes of memory; None is what this machine has.
    """
    limit = usable_memory(conditions.device) if limit is None else limit
    need = needed_bytes(work, conditions)
    return Fit(need, limit, () if need <= limit else _way_out(work, conditions, limit))


def usable_memory(device: torch.device) -> int:
    """Bytes: what the GPU has free or this process already holds of it; else all of the machine or
    the container, which the processes of a group share."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) + torch.cuda.memory_reserved(device)
    return total_memory(device) // group.local_size()


def _way_out(work: Work | Reading, conditions: Conditions, limit: int) -> tuple[Remedy, ...]:
    """As few changes as are enough, each of which helps; shorter rows come last, because they lose data."""
    taken: list[Remedy] = []
    for remedies in (_remedies, _shorter):
        while needed_bytes(work, conditions) > limit:
            best = _best(remedies(work, conditions), taken, limit, needed_bytes(work, conditions))
            if best is None:
                break
            taken.append(best)
            work, conditions = best.work, best.conditions
    return tuple(taken)


def _best(remedies: Iterator[Remedy], taken: list[Remedy], limit: int, need: int) -> Remedy | None:
    """The first that is enough, or what helps most of keys that are not taken; None where nothing does."""
    keys = {remedy.key for remedy in taken}
    left = [remedy for remedy in remedies if remedy.key not in keys and remedy.need < _WORTH * need]
    enough = (remedy for remedy in left if remedy.need <= limit)
    return next(enough, min(left, key=lambda remedy: remedy.need, default=None))


def _remedies(work: Work | Reading, conditions: Conditions) -> Iterator[Remedy]:
    """Changes one by one: first those that cost time alone, then smaller numbers, the largest that help first."""
    if isinstance(work, Reading):
        yield from _smaller(work, conditions)
        return
    if conditions.kept != 0:
        yield Remedy("runtime.recompute", "true", work, replace(conditions, kept=0))
    if conditions.limit is None or conditions.limit.above > AUTO_LIMIT.above:
        yield Remedy("runtime.max_forward_tokens", "auto", work, _with_auto_limits(conditions))
    if work.rollout is not None:
        episodes = work.rollout.episodes
        while (episodes := episodes // 2) >= 1:
            smaller = replace(work, rollout=replace(work.rollout, episodes=episodes))
            yield Remedy(f"{work.section}.rollout_batch_size", episodes, smaller, conditions)
    batch = work.batch
    while (batch := batch // 2) >= 1:
        yield Remedy(f"{work.section}.per_device_train_batch_size", batch, replace(work, batch=batch), conditions)
    if conditions.limit is not None and work.longest < AUTO_LIMIT.above:
        least = max(64, work.longest)
        smaller_parts = replace(conditions, limit=ForwardLimit(least, least), frozen=ForwardLimit(least, least))
        yield Remedy("runtime.max_forward_tokens", least, work, smaller_parts)
    if work.finetuning.method == "full":
        lora = work.finetuning.model_copy(update={"method": "lora"})
        yield Remedy(f"{work.section}.finetuning.method", "lora", replace(work, finetuning=lora), conditions)


def _with_auto_limits(conditions: Conditions) -> Conditions:
    return replace(conditions, limit=AUTO_LIMIT, frozen=AUTO_FROZEN_LIMIT)


def _smaller(work: Reading, conditions: Conditions) -> Iterator[Remedy]:
    """Texts in parts, and fewer samples, or texts, at once."""
    if conditions.frozen is None:
        yield Remedy("runtime.max_forward_tokens", "auto", work, _with_auto_limits(conditions))
    samples = work.smaller_samples()
    while samples is not None and samples.sampled is not None:
        yield Remedy("sampling.batch_size", samples.sampled.count, samples, conditions)
        samples = samples.smaller_samples()
    batches, divided = work.smaller_batches(), 2
    while batches is not None:
        yield Remedy(f"{work.section}.batch_size", max(1, work.batch // divided), batches, conditions)
        batches, divided = batches.smaller_batches(), 2 * divided


def _shorter(work: Work | Reading, conditions: Conditions) -> Iterator[Remedy]:
    """Texts or responses of fewer tokens, in steps of 64."""
    if isinstance(work, Reading):
        for new in range((work.new - 1) // 64 * 64, 0, -64):
            yield Remedy("sampling.max_new_tokens", new, work.shorter_responses(new), conditions)
        return
    for length in range((work.limited - 1) // 64 * 64, 0, -64):
        yield Remedy(work.length_key, length, work.shorter(length), conditions)
