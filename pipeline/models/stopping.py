"""Which tokens end a sampled response."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from pipeline.errors import PipelineError
from pipeline.params.schema import Sampling
from pipeline.reading.endings import end_of_turn, mark_id


def stop_token_ids(
    tokenizer: PreTrainedTokenizerBase, sampling: Sampling, source: PreTrainedModel | GenerationConfig | None
) -> Tensor:
    """Ids (S,), each once: EOS, those of generation_config.json, the template's end of turn, `sampling.stop_tokens`.

    A chat model's EOS alone is not enough: Gemma ends its turns with another token, and Llama 3 has three in its
    generation_config.json.

    Args:
        source: the network that samples, or its generation config; None where there is neither.

    Raises:
        PipelineError: a stop token is not one token of this tokenizer, or nothing ends a response.
    """
    config = source if source is None or isinstance(source, GenerationConfig) else source.generation_config
    ids = [tokenizer.eos_token_id, *config_stop_ids(config), mark_id(tokenizer, end_of_turn(tokenizer))]
    for text in sampling.stop_tokens:
        ids += _ids_of(text, tokenizer)
    known = [one for one in dict.fromkeys(ids) if one is not None]
    if not known:
        raise PipelineError(
            "no token ends a response: the policy's tokenizer has no EOS, and neither its generation_config.json nor "
            "its chat template has one. Name one in sampling.stop_tokens."
        )
    return torch.tensor(known)


def listed_stop_ids(tokenizer: PreTrainedTokenizerBase, stop_tokens: Sequence[str]) -> frozenset[int]:
    """Ids of `sampling.stop_tokens`; see `stop_token_ids`, which has the others, too."""
    return frozenset(one for text in stop_tokens for one in _ids_of(text, tokenizer))


def _ids_of(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """A stop token as it stands alone and as it stands behind a letter, which SentencePiece has two tokens for."""
    alone = tokenizer(text, add_special_tokens=False)["input_ids"]
    letter, both = (tokenizer(one, add_special_tokens=False)["input_ids"] for one in ("a", f"a{text}"))
    behind = both[len(letter) :] if both[: len(letter)] == letter else []
    found = [one[0] for one in (alone, behind) if len(one) == 1]
    if not found:
        raise PipelineError(
            f"sampling.stop_tokens: {text!r} is {len(alone)} tokens of this tokenizer, and has to be one."
        )
    return found


def config_stop_ids(config: GenerationConfig | None) -> list[int]:
    """EOS ids of a generation_config.json, which has none, one or a list."""
    found = None if config is None else config.eos_token_id
    if found is None:
        return []
    return list(found) if isinstance(found, list | tuple) else [int(found)]
