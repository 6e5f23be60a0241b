"""A network is asked, on a few tokens, whether this project computes what it computes."""

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from pipeline.errors import PipelineError
from pipeline.kernels.cache import RowCache
from pipeline.models.backbone import position_ids, project_logits

_TOKENS, _PROMPT, _PADDING = 12, 7, 3
_HEAD_ROUNDING = {torch.float32: 1e-4, torch.bfloat16: 0.005, torch.float16: 0.001}
_CACHE_ROUNDING = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.03}
"""Of logits without their mean, which a softmax does not see, relative (norm of the difference over norm). The head
alone is rounded once; states of cached steps are rounded in every layer: 0.020 of SmolLM2-135M in bf16, where a network
that forgets what came before, or reads at other positions, is off by 1.0. The head is off by 0 there."""


@torch.no_grad()
def check_network(network: PreTrainedModel, *, key: str) -> None:
    """Policies' log-probs are the body's states times the vocabulary head, and responses are sampled with a cache.

    Most language models are computed so, with the scale or cap of `project_logits`. One that does something else
    between its states and its logits, or keeps something else than keys and values, would be trained and sampled as
    another model than it is.

    Args:
        network: with a vocabulary head, in evaluation mode.
        key: of params.yaml that names it.

    Raises:
        PipelineError: it is computed in another way.
    """
    count = network.config.get_text_config().vocab_size
    ids = (torch.arange(_TOKENS) * 7 + 3).remainder(count)[None].to(network.device)
    whole = network(input_ids=ids, use_cache=False).logits[0].float()
    whole = whole - whole.mean(1, keepdim=True)
    ways = (
        ("its body's states times its vocabulary head, as it is trained,", _projected, _HEAD_ROUNDING),
        ("one token at a time behind a padded prompt, as it is sampled,", _sampled, _CACHE_ROUNDING),
    )
    for what, compute, rounding in ways:
        try:
            ours = compute(network, ids)
            difference = ((ours - ours.mean(1, keepdim=True) - whole).norm() / whole.norm()).item()
        except Exception as error:  # each network fails in a way of its own
            raise PipelineError(_refusal(network, key, f"{what} cannot be computed ({error!r})")) from error
        if not difference < rounding[network.dtype]:
            raise PipelineError(_refusal(network, key, f"{what} gives logits that are off by {difference:.2%}"))


def _projected(network: Any, ids: Tensor) -> Tensor:
    return project_logits(network, network.base_model(input_ids=ids, use_cache=False).last_hidden_state[0]).float()


def _sampled(network: Any, ids: Tensor) -> Tensor:
    """Logits (T, V) as `sample` computes them: a prompt with padding on its left, then one token after the other."""
    mask = (torch.arange(_PADDING + _PROMPT, device=ids.device) >= _PADDING)[None]
    read = DynamicCache(config=network.config)
    prompt = torch.cat([ids[:, :1].expand(1, _PADDING), ids[:, :_PROMPT]], 1)
    states = network.base_model(
        input_ids=prompt,
        attention_mask=mask,
        position_ids=position_ids(mask),
        past_key_values=read,
        use_cache=True,
    ).last_hidden_state[0, _PADDING:]
    found = [project_logits(network, states).float()]
    row = torch.zeros(1, dtype=torch.long, device=ids.device)
    new = _TOKENS - _PROMPT
    cache = RowCache.of([(read, mask)], row, length=_PADDING + _PROMPT, room=new, new=new)
    for token in range(_PROMPT, _TOKENS):
        mask, positions = cache.next_token()
        states = network.base_model(
            input_ids=ids[:, token : token + 1],
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache.layers,
            use_cache=True,
        ).last_hidden_state[0]
        found.append(project_logits(network, states).float())
    return torch.cat(found)


def _refusal(network: PreTrainedModel, key: str, what: str) -> str:
    return (
        f"{key}: a {network.config.model_type} ({type(network).__name__}) is computed in a way of its own: {what}. It "
        "would be trained and sampled as another model than it is. Use one of another family: Llama, Mistral, Qwen, "
        "Gemma, Phi, GPT-2 and GPT-NeoX, for example, are known to work."
    )
