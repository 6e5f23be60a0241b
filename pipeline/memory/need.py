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
from pipeline.memory.reading import Reading, Rows, head_bytes, reading_parts, sampling_parts, scoring_parts
from pipeline.memory.weights import is_large, moment_bytes, scorer_number, weight_bytes, widest_layer
from pipeline.memory.work import Pass, Rollout, Work, planned_steps
from pipeline.models.footprint import kept_bytes, recomputed_bytes

_REUSED = 0.75
"""Of what comes before training steps or after them, the share that finds their pieces of a CPU's heap large enough."""


def needed_bytes(work: Work | Reading, conditions: Conditions) -> int:
    """The peak."""
    return sum(memory_parts(work, conditions).values())


def memory_parts(work: Work | Reading, conditions: Conditions) -> Parts:
    """Bytes at the peak, by role."""
    if isinstance(work, Reading):
        return reading_parts(work, conditions)
    trained, full = _trained_weights(work), _keeps_fp32(work)
    networks = (1 + work.critics + work.frozen) * _network_bytes(work, conditions)
    steps = planned_steps(work, conditions.limit)
    passing = largest_of(_step_parts(work, step, conditions, 4 * trained) for step in steps)
    held = {"weights": networks + (0 if full else 4 * trained)}
    if work.rollout is not None:
        scorer = work.rollout.scorer
        number = scorer_number(scorer, stored=4, products=conditions.number)
        held["weights"] += weight_bytes(scorer, number)
        sampling = _rollout_parts(work, work.rollout, conditions)
        reused = _REUSED if conditions.device.type == "cpu" else 1.0
        smaller = min(total(passing), total(sampling))
        passing = added(largest_of([passing, sampling]), {"copies": int((1 - reused) * smaller)})
    held["optimiser"] = moment_bytes(trained, work.optimizer, conditions.device)
    copied = _copied_bytes(work, conditions)
    if not work.writes and conditions.device.type == "cpu":
        # before and after its steps a reward model is in other pieces of the heap than they are
        copied -= int(_REUSED * min(copied, total(passing)))
    training = added(held, passing, {"copies": copied})
    return added({"libraries": LIBRARIES}, largest_of([training, _loading_parts(work, conditions)]))


def _network_bytes(work: Work, conditions: Conditions) -> int:
    """Of the weights of one network; a reference has the number format of what is trained."""
    return weight_bytes(work.model, 4 if _keeps_fp32(work) else conditions.number, work.finetuning.quantization)


def _loading_parts(work: Work, conditions: Conditions) -> Parts:
    """A CPU reads weights before it quantises them; a GPU never has them, as they are read beside it."""
    if work.finetuning.quantization == "none" or conditions.device.type != "cpu":
        return {}
    others = (1 + work.critics + work.frozen) * _network_bytes(work, conditions)
    return {"weights": weight_bytes(work.model, conditions.number) + others}


def _copied_bytes(work: Work, conditions: Conditions) -> int:
    """Weights that are there in another number format, too."""
    number, cpu = conditions.number, conditions.device.type == "cpu"
    if work.finetuning.quantization != "none":
        # one layer at a time is widened, and in the end a reward model is put together from what is stored
        widened = widest_layer(work.model.size) * number
        whole = weight_bytes(work.model, number if is_large(work.model) else 4)
        return widened if work.writes else (1 + cpu) * whole
    if work.writes or _keeps_fp32(work):
        return 0
    if is_large(work.model):
        # adapters are merged in fp32, one layer at a time: its weight and what is added to it
        return 8 * widest_layer(work.model.size)
    # a reward model goes on to score, merged and in fp32; on a CPU its first copy is in fp32, too, in the same heap
    return (4 - number) * work.model.weights + (4 * work.model.weights if cpu and number < 4 else 0)


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


def _rollout_parts(work: Work, rollout: Rollout, conditions: Conditions) -> Parts:
    """Of sampling, with merged weights and the cache, or of scoring."""
    size, number = work.model.size, conditions.number
    # above weights in 4 bits adapters stay apart
    merges = work.finetuning.method == "lora" and work.finetuning.quantization == "none"
    merged = size.layers * size.layer_weights * number if merges else 0
    drawn, read = (Rows(rollout.episodes, width) for width in (work.longest, rollout.text))
    sampled = added(sampling_parts(size, drawn, rollout.new, conditions), {"copies": merged})
    scored = scorer_number(rollout.scorer, stored=4, products=number)
    return largest_of([sampled, scoring_parts(rollout.scorer.size, read, conditions, number=scored)])
