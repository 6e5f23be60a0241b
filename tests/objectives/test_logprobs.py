"""Token log-probs and entropy against log_softmax in float64, forward and backward, over more than one slice."""

import math

import pytest
import torch
from torch import Tensor

from pipeline.objectives.logprobs import token_logprobs, token_statistics

ROWS, VOCABULARY = 53, 37  # three whole slices of 16 rows, and a rest


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(ROWS, VOCABULARY, generator=torch.Generator().manual_seed(0)) * 5


@pytest.fixture
def token_ids() -> Tensor:
    return torch.randint(VOCABULARY, (ROWS,), generator=torch.Generator().manual_seed(1))


def oracle(logits: Tensor, token_ids: Tensor, temperature: float) -> Tensor:
    return torch.log_softmax(logits.double() / temperature, -1)[torch.arange(len(logits)), token_ids]


def test_by_hand() -> None:
    # odds 1 : 3, and 1 : 9 at temperature 1/2
    logits = torch.tensor([[0.0, math.log(3)]])
    assert token_logprobs(logits, torch.tensor([1]), temperature=1.0).item() == pytest.approx(math.log(0.75))
    assert token_logprobs(logits, torch.tensor([1]), temperature=0.5).item() == pytest.approx(math.log(0.9))


@pytest.mark.parametrize("temperature", [1.0, 0.7, 3.0])
def test_equals_log_softmax_in_float64(logits: Tensor, token_ids: Tensor, temperature: float) -> None:
    ours = token_logprobs(logits, token_ids, temperature=temperature)
    assert ours.dtype == torch.float32
    assert torch.allclose(ours.double(), oracle(logits, token_ids, temperature), atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_gradient_equals_that_of_log_softmax(logits: Tensor, token_ids: Tensor, temperature: float) -> None:
    weights = torch.randn(ROWS, generator=torch.Generator().manual_seed(2))
    ours = logits.clone().requires_grad_()
    (token_logprobs(ours, token_ids, temperature=temperature) * weights).sum().backward()
    theirs = logits.double().requires_grad_()
    (oracle(theirs, token_ids, temperature) * weights.double()).sum().backward()
    assert torch.allclose(ours.grad.double(), theirs.grad, atol=1e-6)


def test_bf16_logits_are_reduced_in_fp32(token_ids: Tensor) -> None:
    # 4,000 near-equal entries: a bf16 sum of their exponentials would stop growing at 256
    logits = (torch.randn(ROWS, 4000, generator=torch.Generator().manual_seed(3)) * 0.1).bfloat16()
    ours = logits.clone().requires_grad_()
    logprobs = token_logprobs(ours, token_ids, temperature=0.9)
    assert logprobs.dtype == torch.float32
    assert torch.allclose(logprobs.double(), oracle(logits, token_ids, 0.9), atol=1e-5)
    logprobs.sum().backward()
    theirs = logits.double().requires_grad_()
    oracle(theirs, token_ids, 0.9).sum().backward()
    assert ours.grad.dtype == torch.bfloat16
    # half a unit in the last place of bf16, relative to the entry
    assert torch.allclose(ours.grad.double(), theirs.grad, rtol=2**-8, atol=1e-8)


def test_huge_logits_stay_finite() -> None:
    logits = torch.tensor([[1e4, 0.0, -1e4]], requires_grad=True)
    logprobs = token_logprobs(logits, torch.tensor([2]), temperature=1.0)
    logprobs.backward()
    assert logprobs.item() == -2e4
    assert logits.grad.tolist() == [[-1.0, 0.0, 1.0]]


def test_no_rows_are_no_error() -> None:
    logits = torch.zeros(0, 5, requires_grad=True)
    statistics = token_statistics(logits, torch.zeros(0, dtype=torch.long), temperature=1.0)
    assert statistics.logprobs.shape == statistics.entropy.shape == (0,)
    token_logprobs(logits, torch.zeros(0, dtype=torch.long), temperature=1.0).sum().backward()
    assert logits.grad.shape == (0, 5)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_entropy_equals_the_sum_over_the_vocabulary(logits: Tensor, token_ids: Tensor, temperature: float) -> None:
    statistics = token_statistics(logits, token_ids, temperature=temperature)
    direct = torch.distributions.Categorical(logits=logits.double() / temperature).entropy()
    assert torch.allclose(statistics.entropy.double(), direct, atol=1e-5)
    assert torch.equal(statistics.logprobs, token_logprobs(logits, token_ids, temperature=temperature))


def test_entropy_of_uniform_and_of_certain_tokens() -> None:
    logits = torch.tensor([[0.0] * 8, [0.0, *[-math.inf] * 7]])
    entropy = token_statistics(logits, torch.tensor([0, 0]), temperature=1.0).entropy
    assert entropy.tolist() == [pytest.approx(math.log(8)), pytest.approx(0.0)]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_gradient_of_the_entropy_is_that_of_the_definition(
    logits: Tensor, token_ids: Tensor, temperature: float
) -> None:
    ours, plain = logits.clone().requires_grad_(), logits.double().requires_grad_()
    weights = torch.randn(ROWS, generator=torch.Generator().manual_seed(4))
    (weights * token_statistics(ours, token_ids, temperature=temperature).entropy).sum().backward()
    logprobs = torch.log_softmax(plain / temperature, -1)
    (weights * -(logprobs.exp() * logprobs).sum(-1)).sum().backward()
    assert torch.allclose(ours.grad.double(), plain.grad, atol=1e-5)


def test_the_entropy_of_truncated_distributions_has_a_finite_gradient() -> None:
    logits = torch.tensor([[1.0, 0.5, -math.inf, -math.inf]], requires_grad=True)
    token_statistics(logits, torch.tensor([0]), temperature=1.0).entropy.sum().backward()
    assert bool(torch.isfinite(logits.grad).all()) and logits.grad[0, 2:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("function", [token_logprobs, token_statistics])
@pytest.mark.parametrize("shapes", [((3, 5), (4,)), ((2, 3, 5), (2, 3)), ((3, 5), (3, 1))])
def test_wrong_shapes_raise(function, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    logits, token_ids = torch.zeros(shapes[0]), torch.zeros(shapes[1], dtype=torch.long)
    with pytest.raises(ValueError, match="do not match"):
        function(logits, token_ids, temperature=1.0)
