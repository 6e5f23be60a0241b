"""Estimates of the KL: by enumeration, by hand, and near zero."""

import math

import pytest
import torch

from pipeline.objectives.kl import kl_estimates


def test_expected_estimates_equal_the_exact_kl() -> None:
    generator = torch.Generator().manual_seed(0)
    p = torch.softmax(torch.randn(1, 7, generator=generator, dtype=torch.float64), -1)
    q = torch.softmax(torch.randn(1, 7, generator=generator, dtype=torch.float64), -1)
    exact = sum(a * math.log(a / b) for a, b in zip(p[0].tolist(), q[0].tolist(), strict=True))
    k1, _, k3 = kl_estimates(p.log(), q.log())
    # each of the 7 tokens is a sample with weight p
    assert (p * k1).sum().item() == pytest.approx(exact)
    assert (p * k3).sum().item() == pytest.approx(exact)
    assert bool((k3 >= 0).all()) and bool((k1 < 0).any())


def test_estimates_by_hand() -> None:
    k1, k2, k3 = kl_estimates(torch.tensor([[math.log(0.5)]]), torch.tensor([[math.log(0.25)]]))
    assert k1.item() == pytest.approx(math.log(2))
    assert k2.item() == pytest.approx(math.log(2) ** 2 / 2)
    assert k3.item() == pytest.approx(0.5 - 1 + math.log(2))


def test_k3_keeps_its_digits_near_zero() -> None:
    k3 = kl_estimates(torch.tensor([[1e-4]]), torch.tensor([[0.0]])).k3
    assert k3.item() == pytest.approx(5e-9, rel=0.05)
    assert [one.item() for one in kl_estimates(torch.tensor([[-3.0]]), torch.tensor([[-3.0]]))] == [0.0] * 3


def test_the_gradient_of_k2_is_that_of_the_kl_and_those_of_the_others_are_not() -> None:
    logits = torch.randn(7, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)
    q = torch.log_softmax(torch.randn(7, generator=torch.Generator().manual_seed(3), dtype=torch.float64), -1)
    log_p = torch.log_softmax(logits, -1)
    weights = log_p.detach().exp()[None]
    (exact,) = torch.autograd.grad((log_p.exp() * (log_p - q)).sum(), logits, retain_graph=True)
    same = {}
    for name, estimate in kl_estimates(log_p[None], q[None])._asdict().items():
        (gradient,) = torch.autograd.grad((weights * estimate).sum(), logits, retain_graph=True)
        same[name] = torch.allclose(gradient, exact)
    assert same == {"k1": False, "k2": True, "k3": False}
