"""Log-probs without logits equal those with them, and so do their gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.kernels import linear_logprobs
from pipeline.kernels.linear_logprobs import linear_token_statistics
from pipeline.objectives import logprobs
from pipeline.objectives.logprobs import token_statistics

ROWS = [0, 1, 16, 17, 128, 300]  # around the sizes of the slices


def tensors(rows: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows)
    states = torch.randn(rows, 12, generator=generator, dtype=dtype)
    weight = torch.randn(50, 12, generator=generator, dtype=dtype)
    token_ids = torch.randint(50, (rows,), generator=generator)
    upstream = torch.randn(rows, generator=generator)
    return states.requires_grad_(), weight.requires_grad_(), token_ids, upstream


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_values_and_gradients_equal_those_of_log_softmax(rows: int, temperature: float) -> None:
    states, weight, token_ids, upstream = tensors(rows)
    expected = torch.log_softmax(states @ weight.T / temperature, -1).gather(1, token_ids[:, None]).squeeze(1)
    expected_gradients = torch.autograd.grad((expected * upstream).sum(), (states, weight))
    logprobs, _ = linear_token_statistics(states, weight, token_ids, temperature=temperature)
    gradients = torch.autograd.grad((logprobs * upstream).sum(), (states, weight))
    assert logprobs.dtype == torch.float32
    assert torch.allclose(logprobs.double(), expected, atol=1e-5)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        assert torch.allclose(ours, theirs, atol=2e-5)


@pytest.mark.parametrize("frozen", ["states", "weight"])
def test_what_is_frozen_gets_no_gradient_and_changes_no_other(frozen: str) -> None:
    states, weight, token_ids, upstream = tensors(40)
    both = torch.autograd.grad(
        (linear_token_statistics(states, weight, token_ids, temperature=0.9).logprobs * upstream).sum(),
        (states, weight),
    )
    part = {"states": states, "weight": weight}
    part[frozen] = part[frozen].detach()
    (linear_token_statistics(*part.values(), token_ids, temperature=0.9).logprobs * upstream).sum().backward()
    trained = weight if frozen == "states" else states
    assert part[frozen].grad is None
    assert torch.equal(trained.grad, both[1] if frozen == "states" else both[0])


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_entropies_equal_those_from_logits_and_carry_no_gradient(temperature: float) -> None:
    states, weight, token_ids, _ = tensors(150)
    expected = token_statistics(states @ weight.T, token_ids, temperature=temperature)
    ours = linear_token_statistics(states, weight, token_ids, temperature=temperature, with_entropy=True)
    assert torch.allclose(ours.entropy, expected.entropy.float(), atol=1e-5)
    assert torch.allclose(ours.logprobs, expected.logprobs, atol=1e-5)
    assert not ours.entropy.requires_grad


def test_with_entropies_the_log_probs_are_the_same_bytes() -> None:
    states, weight, token_ids, _ = tensors(150)
    plain, with_entropy = (
        linear_token_statistics(states, weight, token_ids, temperature=0.7, with_entropy=flag).logprobs
        for flag in (False, True)
    )
    assert torch.equal(plain, with_entropy)


def test_in_bf16_the_softmax_is_summed_in_fp32() -> None:
    # 50,000 equal entries: a bf16 sum would stop growing at 256
    states, weight = torch.zeros(1, 4, dtype=torch.bfloat16), torch.zeros(50_000, 4, dtype=torch.bfloat16)
    logprobs, entropy = linear_token_statistics(states, weight, torch.tensor([3]), temperature=1.0, with_entropy=True)
    expected = torch.tensor(50_000.0).log()
    assert logprobs.item() == pytest.approx(-expected.item(), abs=1e-3)
    assert entropy.item() == pytest.approx(expected.item(), abs=1e-3)


def test_autocast_does_not_change_the_number_format() -> None:
    states, weight, token_ids, _ = tensors(20, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = linear_token_statistics(states, weight, token_ids, temperature=1.0).logprobs
    assert torch.equal(inside, linear_token_statistics(states, weight, token_ids, temperature=1.0).logprobs)


@pytest.mark.parametrize(
    ("states", "weight", "ids"), [((3, 4), (9, 5), 3), ((3, 4), (9, 4), 2), ((3, 4, 1), (9, 4), 3)]
)
def test_shapes_that_do_not_match_are_refused(states: tuple[int, ...], weight: tuple[int, ...], ids: int) -> None:
    with pytest.raises(ValueError, match="do not match"):
        linear_token_statistics(
            torch.zeros(states), torch.zeros(weight), torch.zeros(ids, dtype=torch.long), temperature=1.0
        )


class _Products(TorchDispatchMode):
    """Rows of each matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.mm.default:
            self.rows.append(args[0].shape[0])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("device", "rows"), [("cpu", [128] * 8), ("meta", [1024])])
def test_a_device_with_more_units_gets_more_rows_at_once(device: str, rows: list[int]) -> None:
    states, weight = torch.ones(1024, 4, device=device), torch.ones(6, 4, device=device)
    token_ids = torch.zeros(1024, dtype=torch.long, device=device)
    with _Products() as products:  # the function inside, because there is no autocast for `meta`
        linear_logprobs._LinearTokenLogprobs.apply(states, weight, token_ids, 1.0, True)
    assert products.rows == rows


@pytest.mark.parametrize("rows", [40, 300])
def test_results_do_not_depend_on_how_many_rows_pass_at_once(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for elsewhere in (False, True):
        if elsewhere:
            monkeypatch.setattr(linear_logprobs, "_ROWS", {})
            monkeypatch.setattr(logprobs, "_ROWS", {})
        states, weight, token_ids, upstream = tensors(rows)
        values, entropy = linear_token_statistics(states, weight, token_ids, temperature=0.7, with_entropy=True)
        found.append([values.detach(), entropy, *torch.autograd.grad((values * upstream).sum(), (states, weight))])
    for ours, plain in zip(*found, strict=True):
        assert torch.allclose(ours, plain, atol=1e-6)
