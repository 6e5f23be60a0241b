"""Cost of one DPO step at one size, optimised or plain: `python -m benchmarks.scaling POINT on|off`.

The network is a random Llama with six layers of the default policy's width: large enough for its matrix products to
dominate, small enough for a minute a point.
"""

import json
import sys
import time
from dataclasses import replace

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.measuring import peak_mib
from benchmarks.workloads import ROOT
from pipeline.data.tokens import TokenizedExample
from pipeline.models.compute import start_compute
from pipeline.models.policy import Policy
from pipeline.models.scoring import response_logps
from pipeline.objectives.preference import DpoOptions, Sides, dpo_loss
from pipeline.params.loading import load_params

BASE = {"prompt": 64, "response": 64, "pairs": 4, "vocabulary": 32_000}
POINTS = [
    *(f"response={tokens}" for tokens in (32, 64, 128, 256)),
    *(f"prompt={tokens}" for tokens in (16, 256, 512)),
    *(f"pairs={pairs}" for pairs in (1, 2, 8)),
    *(f"vocabulary={entries}" for entries in (8_000, 128_000)),
]
"""One size changed at a time; `response=64` is the base."""
_STEPS = 4


def main() -> None:
    """Print seconds of a step (the fastest of some) and peak memory."""
    name, _, value = sys.argv[1].partition("=")
    size = {**BASE, name: int(value)}
    optimised = sys.argv[2] == "on"
    compute = start_compute(load_params(ROOT / "params.yaml").runtime)
    if not optimised:
        compute = replace(compute, shared_prompts=False, padding_free=False, fused_logprobs=False, attention="eager")
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=6,
        num_attention_heads=9,
        num_key_value_heads=3,
        vocab_size=size["vocabulary"],
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )
    policy = Policy(
        LlamaForCausalLM._from_config(config, attn_implementation=compute.attention),
        fused_logprobs=compute.fused_logprobs,
        padding_free=compute.padding_free,
    ).to(compute.device)
    examples = _pairs(size)
    count = size["pairs"]
    zeros = torch.zeros(count, device=compute.device)
    lengths = torch.full((count,), float(size["response"]), device=compute.device)
    seconds = []
    for _ in range(_STEPS):
        start = time.perf_counter()
        logps = response_logps(policy, examples, compute, pad_token_id=0).view(-1, 2)
        result = dpo_loss(Sides(*logps.unbind(1)), Sides(zeros, zeros), Sides(lengths, lengths), DpoOptions(beta=0.1))
        result.losses.mean().backward()
        policy.zero_grad(set_to_none=True)
        if compute.device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    point = {"point": sys.argv[1], "optimisations": sys.argv[2], "seconds": min(seconds), "peak_mib": peak_mib()}
    print(json.dumps(point), flush=True)


def _pairs(size: dict[str, int]) -> list[TokenizedExample]:
    """Pairs with a common prompt; responses of equal length, so that padding plays no part."""
    generator = torch.Generator().manual_seed(0)

    def tokens(count: int) -> list[int]:
        return torch.randint(1, size["vocabulary"], (count,), generator=generator).tolist()

    prompts = [tokens(size["prompt"]) for _ in range(size["pairs"])]
    return [TokenizedExample(prompt, tokens(size["response"])) for prompt in prompts for _ in range(2)]


if __name__ == "__main__":
    main()
