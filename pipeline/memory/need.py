"""What a stage holds in memory at its peak, from configs and parameters alone: no weights are loaded.

A sum of what is there at once: libraries, weights, the optimiser's moments, and the largest step's activations, logits
and gradients; in PPO, the rollout, too: its key-value cache and merged weights, or a forward pass of the reward model.
docs/operations.md says how far it is off.
"""

from collections.abc import Sequence
from typing import Any

from pipeline.kernels.long_attention import block_bytes, is_long
from pipeline.memory.conditions import LIBRARIES, Conditions
from pipeline.memory.parts import Parts, added, largest_of, total
from pipeline.memory.reading import (
    Reading,
    Rows,
    head_bytes,
    logprob_parts,
    reading_parts,
    sampling_parts,
    scoring_parts,
)
from pipeline.memory.weights import moment_bytes, scorer_number, weight_bytes, widest_layer
from pipeline.memory.work import Pass, Rollout, Work, planned_steps
from pipeline.models.footprint import kept_bytes, recomputed_bytes
from pipeline.models.reward_size import is_large
from pipeline.training.residency import Phase, Role, offloads, resident_roles

_REUSED = 0.75
"""Share of what is held before training steps or after them that finds their pieces of a CPU's heap large enough."""


def needed_bytes(work: Work | Reading, conditions: Conditions) -> int:
    """Bytes that a stage holds at its peak."""
    return sum(memory_parts(work, conditions).values())


def memory_parts(work: Work | Reading, conditions: Conditions) -> Parts:
    """Bytes that a stage holds at its peak, by what they are for."""
    if isinstance(work, Reading):
        return reading_parts(work, conditions)
    trained = _trained_weights(work)
    steps = planned_steps(work, conditions.limit)
    passing = largest_of(_step_parts(work, step, conditions, 4 * trained) for step in steps)
    held = {"optimiser": moment_bytes(trained, work.optimizer, conditions.device)}
    held["weights"] = 0 if _keeps_fp32(work) else 4 * trained
    if work.rollout is None:
        held["weights"] += (1 + work.frozen) * _network_bytes(work, conditions)
    else:
        passing = _iteration_parts(work, work.rollout, passing, conditions)
    copied = _copied_bytes(work, conditions)
    if not work.writes and conditions.device.type == "cpu":
        # before and after its steps a reward model is in other pieces of the heap than they are
        copied -= int(_REUSED * min(copied, total(passing)))
    training = added(held, passing, {"copies": copied})
    return added({"libraries": LIBRARIES}, largest_of([training, _loading_parts(work, conditions)]))


def _iteration_parts(work: Work, rollout: Rollout, updating: Parts, conditions: Conditions) -> Parts:
    """What PPO holds in the phase of an iteration that needs most, with the networks that are there meanwhile.

    What is between them is left out, because it needs no more: log-probs of what is trained are read in the passes of
    its update, without gradient.
    """
    network = _network_bytes(work, conditions)
    number = scorer_number(rollout.scorer, stored=4, products=conditions.number)
    bytes_of: dict[Role, int] = {
        "policy": network,
        "critic": work.critics * network,
        "reference": work.frozen * network,
        "reward_model": weight_bytes(rollout.scorer, number),
    }
    phases: dict[Phase, Parts] = {"update": updating, **_rollout_parts(work, rollout, conditions)}
    offloaded = offloads(work.offload_idle, conditions.device)
    moments = [
        added({"weights": sum(bytes_of[role] for role in resident_roles(phase, offloaded=offloaded))}, parts)
        for phase, parts in phases.items()
    ]
    # a CPU's heap has holes where the smaller of an update and its rollout was
    rolling = max(total(parts) for phase, parts in phases.items() if phase != "update")
    holes = int((1 - _REUSED) * min(total(updating), rolling)) if conditions.device.type == "cpu" else 0
    return added(largest_of(moments), {"copies": holes})


def _network_bytes(work: Work, conditions: Conditions) -> int:
    """Bytes of the weights of one network; a reference has the number format of what is trained."""
    return weight_bytes(work.model, 4 if _keeps_fp32(work) else conditions.number, work.finetuning.quantization)


def _loading_parts(work: Work, conditions: Conditions) -> Parts:
    """What loading holds where weights are quantised: a CPU has read them whole; a GPU gets them layer by layer."""
    if work.finetuning.quantization == "none" or conditions.device.type != "cpu":
        return {}
    others = (1 + work.critics + work.frozen) * _network_bytes(work, conditions)
    return {"weights": weight_bytes(work.model, conditions.number) + others}


def _copied_bytes(work: Work, conditions: Conditions) -> int:
    """Bytes of weights that are there in another number format, too."""
    number, cpu = conditions.number, conditions.device.type == "cpu"
    large = is_large(work.model.weights, decoder=work.model.is_decoder)
    if work.finetuning.quantization != "none":
        # one layer at a time is widened, and in the end a reward model is put together from what is stored
        widened = widest_layer(work.model.size) * number
        whole = weight_bytes(work.model, number if large else 4)
        return widened if work.writes else (1 + cpu) * whole
    if work.writes or _keeps_fp32(work):
        return 0
    if large:
        # adapters are merged in fp32, one layer at a time: its weight and what is added to it
        return 8 * widest_layer(work.model.size)
    # a reward model goes on to score, merged and in fp32; in a CPU's heap its layers leave holes too small for that
    return 0 if number == 4 else (4 if cpu else 4 - number) * work.model.weights


def _trained_weights(work: Work) -> int:
    full = work.finetuning.method == "full"
    one = work.model.weights if full else work.model.size.adapter_weights(work.finetuning.lora_r)
    return one * (1 + work.critics)


def _keeps_fp32(work: Work) -> bool:
    """All weights are in fp32: they are trained, or an encoder's, which adapters leave as they are."""
    return work.finetuning.method == "full" or not work.model.is_decoder


def _step_parts(work: Work, step: Sequence[Pass], conditions: Conditions, gradients: int) -> Parts:
    """Activations and gradients: each pass but the first finds those of the passes before it.

    In the first, a layer's gradients come when its activations go.
    """
    first, *others = (_passing(work, one, conditions) for one in step)
    alone = {"gradients": gradients}
    return largest_of([first, alone, added(alone, largest_of(others))])


def _passing(work: Work, one: Pass, conditions: Conditions) -> Parts:
    """Activations, their gradients, and logits of one forward and backward pass."""
    size, number = work.model.size, conditions.number
    sizes: dict[str, Any] = {
        "tokens": one.tokens,
        "length": one.length,
        "full": _keeps_fp32(work),
        "attention": conditions.attention,
        "number": number,
    }
    kept = kept_bytes(size, **sizes)
    layer = kept // size.layers
    if conditions.kept is not None and kept > conditions.kept:
        kept = recomputed_bytes(size, **sizes)
    mask = one.tokens * one.length * (3 + 2 * number) if one.branched else 0
    by_blocks = conditions.attention == "grouped" and is_long(one.length, one.length)
    mask += block_bytes(size.heads, one.length, number=number) if by_blocks else 0
    activations = (1 + work.critics) * int(conditions.holes * kept + mask) + int(conditions.holes * layer)
    return {"activations": activations, "logits": _head_bytes(work, one.predicted, conditions) if work.writes else 0}


def _head_bytes(work: Work, tokens: int, conditions: Conditions) -> int:
    size, number = work.model.size, conditions.number
    if not conditions.fused_logprobs:
        return tokens * size.vocabulary * (2 * number + 8)
    full = work.finetuning.method == "full"
    matrices = (4 + 2 * number) * size.vocabulary * size.width if full else 0
    logits = head_bytes(size, tokens, conditions.device, number=number, summed=full)
    return logits + 2 * tokens * size.width * number + matrices


def _rollout_parts(work: Work, rollout: Rollout, conditions: Conditions) -> dict[Phase, Parts]:
    """What sampling, with merged weights and the cache, scoring, and a reference's log-probs hold."""
    size, number = work.model.size, conditions.number
    # above weights in 4 bits adapters stay apart
    merges = work.finetuning.method == "lora" and work.finetuning.quantization == "none"
    merged = size.layers * size.layer_weights * number if merges else 0
    drawn, read = (Rows(rollout.episodes, width) for width in (work.longest, rollout.text))
    sampled = added(sampling_parts(size, drawn, rollout.new, conditions), {"copies": merged})
    scored = scorer_number(rollout.scorer, stored=4, products=number)
    scoring = scoring_parts(rollout.scorer.size, read, conditions, number=scored)
    phases: dict[Phase, Parts] = {"sample": sampled, "score": scoring}
    if work.frozen:
        passes = {Rows(one.rows, one.length) for step in planned_steps(work, conditions.limit) for one in step}
        phases["reference_log_probs"] = largest_of(logprob_parts(size, rows, conditions) for rows in passes)
    return phases
