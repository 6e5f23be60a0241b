"""FlexAttention of one flat row sees what rows and branches see; here uncompiled, as a CPU has it."""

import warnings
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch.nn.attention import flex_attention as flex_module
from torch.nn.attention.flex_attention import BlockMask
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedConfig

from pipeline.data.tokens import TokenizedExample
from pipeline.kernels import branch_attention
from pipeline.kernels.branch_attention import BLOCK, FLEX, branch_mask
from pipeline.kernels.flat_rows import FlatRows
from pipeline.kernels.packed_states import visible_keys
from pipeline.kernels.packing import PackedRows, pack_groups
from pipeline.models.compute import Compute, choose_attention
from pipeline.models.policy import Policy
from pipeline.models.scoring import response_logps

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 64}
LLAMA = LlamaConfig(**SIZES, intermediate_size=64, num_key_value_heads=2)
GPT2 = GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=64, n_positions=256)
# a row of several blocks, short ones, a prompt alone
LENGTHS = [(150, 140, 20), (3, 5, 4), (30, 1, 60), (1, 0, 2), (280, 100, 100), (7, 9, 0)]


@pytest.fixture
def on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Torch has the gradient of FlexAttention on a CPU, and refuses to use it there, because it is slow."""
    monkeypatch.setattr(flex_module, "_validate_device", lambda *_: None)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="flex_attention called without torch.compile")
        yield


def groups(lengths: list[tuple[int, int, int]]) -> list[list[TokenizedExample]]:
    generator = torch.Generator().manual_seed(0)

    def ids(count: int) -> list[int]:
        return torch.randint(3, 64, (count,), generator=generator).tolist()

    return [
        [TokenizedExample(prompt, ids(one)), TokenizedExample(prompt, ids(other))]
        for length, one, other in lengths
        for prompt in [ids(length)]
    ]


def flat_mask(rows: PackedRows) -> tuple[BlockMask, torch.Tensor]:
    """The mask of a flat row, and what its tokens see, (N, N), by the rows they are from."""
    layout = FlatRows.of(rows.branch >= 0, multiple=BLOCK)
    places = layout.places[: layout.real]
    number = torch.full((len(layout.places),), layout.rows)
    branch = torch.zeros_like(number)
    number[: layout.real], branch[: layout.real] = places // layout.width, rows.branch.flatten()[places]
    seen = torch.zeros(len(number), len(number), dtype=torch.bool)
    in_rows = torch.block_diag(*visible_keys(rows.branch))[places][:, places]
    seen[: layout.real, : layout.real] = in_rows.bool()
    filled = len(number) - layout.real
    seen[layout.real :, layout.real :] = torch.ones(filled, filled, dtype=torch.bool).tril()
    return branch_mask(number, branch), seen


def listed(counts: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """(n, n), which blocks are in a list, from the list."""
    blocks = torch.zeros(order.shape[2:], dtype=torch.bool)
    for row, count in enumerate(counts[0, 0].tolist()):
        blocks[row, order[0, 0, row, :count].long()] = True
    return blocks


def test_a_token_sees_what_it_sees_in_its_row() -> None:
    mask, seen = flat_mask(pack_groups(groups(LENGTHS), pad_token_id=0))
    number = torch.arange(len(seen))
    nothing = torch.zeros((), dtype=torch.long)
    assert torch.equal(mask.mask_mod(nothing, nothing, number[:, None], number[None]), seen)
    blocks = seen.view(len(seen) // BLOCK, BLOCK, -1, BLOCK)
    assert mask.full_kv_num_blocks is not None and mask.full_kv_indices is not None
    part = listed(mask.kv_num_blocks, mask.kv_indices)
    whole = listed(mask.full_kv_num_blocks, mask.full_kv_indices)
    assert bool((blocks.all(3).all(1) | ~whole).all()) and bool(whole.any()), "a whole block hides nothing"
    assert torch.equal(part | whole, blocks.any(3).any(1)), "what is left out sees nothing, and nothing else is read"
    assert not bool((part & whole).any())


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "apart"])
def test_log_probs_and_gradients_equal_those_of_padded_rows(shared: bool, compute: Compute, on_a_cpu: None) -> None:
    examples = [example for group in groups([(40, 50, 60), (3, 5, 4), (90, 1, 30)]) for example in group]
    found = []
    for attention in (FLEX, "sdpa"):
        torch.manual_seed(0)
        network = AutoModelForCausalLM.from_config(LLAMA, attn_implementation=attention).eval()
        for parameter in network.parameters():
            parameter.data *= 3  # fresh weights are so small that attention is flat
        policy = Policy(network)
        assert policy.reads_flat_rows == (attention == FLEX)
        setting = replace(compute, shared_prompts=shared)
        logps = response_logps(policy, examples, setting, pad_token_id=0)
        (torch.linspace(-1, 1, len(logps)) * logps).sum().backward()
        found.append((logps.detach(), {n: p.grad for n, p in policy.named_parameters() if p.grad is not None}))
    (ours, our_gradients), (plain, gradients) = found
    assert torch.allclose(ours, plain, rtol=1e-5, atol=1e-4)
    assert our_gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert torch.allclose(our_gradients[name], gradient, rtol=1e-3, atol=1e-3 * float(gradient.abs().max())), name


@pytest.mark.parametrize("config", [LLAMA, GPT2], ids=["not compiled", "other masks"])
def test_a_network_that_cannot_be_read_so_keeps_its_padding(
    config: PreTrainedConfig, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(kind: str) -> None:
        raise RuntimeError(f"no compiler for {kind}")

    if config is LLAMA:  # GPT-2 of transformers takes no such mask
        monkeypatch.setattr(branch_attention, "_attention", refuse)
    examples = [example for group in groups([(40, 50, 60), (3, 5, 4)]) for example in group]
    found = []
    for attention in (FLEX, "sdpa"):
        torch.manual_seed(0)
        policy = Policy(AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval())
        assert policy.reads_branches and not policy.reads_flat_rows
        found.append(response_logps(policy, examples, compute, pad_token_id=0))
    assert torch.equal(*found)


def test_it_is_chosen_where_programs_can_be_compiled_for_a_gpu() -> None:
    chosen = {
        (device, able): choose_attention("auto", device, compiles=lambda able=able: able)  # type: ignore[misc]
        for device in ("cpu", "cuda", "mps")
        for able in (True, False)
    }
    assert [device for device, able in chosen if chosen[device, able] == FLEX] == ["cuda"]
    assert chosen["cuda", False] == chosen["mps", True] == "sdpa"
    assert chosen["cpu", True] == chosen["cpu", False] == "grouped"
    assert choose_attention("eager", "cuda") == "eager"
