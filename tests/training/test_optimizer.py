"""AdamW by name: the same updates as torch's, smaller moments, a state that goes on, and a clear refusal."""

import copy
import importlib.util

import pytest
import torch
from torch import nn

from pipeline.errors import PipelineError
from pipeline.training import optimizer
from pipeline.training.optimizer import make_optimizer


def updated(name: str, steps: int, made: list[torch.optim.Optimizer] | None = None) -> torch.Tensor:
    """A weight large enough for 8 bits, after updates with gradients that are the same each time."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(128, 64))
    one = make_optimizer([weight], name, lr=0.01, weight_decay=0.1)
    for _ in range(steps):
        weight.grad = weight.detach().sin()
        one.step()
    if made is not None:
        made.append(one)
    return weight.detach()


@pytest.mark.parametrize("name", ["adamw_8bit", "paged_adamw_8bit"])
def test_without_bitsandbytes_one_sentence_says_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(PipelineError, match=r"optimizer is .*8bit.*pip install '\.\[qlora\]'"):
        updated(name, 1)
    optimizer.check_optimizer("adamw")


def test_adamw_is_that_of_torch() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(128, 64))
    expected = torch.optim.AdamW([weight], lr=0.01, weight_decay=0.1, fused=True)
    for _ in range(3):
        weight.grad = weight.detach().sin()
        expected.step()
    assert torch.equal(updated("adamw", 3), weight)


@pytest.mark.parametrize("name", ["adamw_8bit", "paged_adamw_8bit"])
def test_in_8_bits_updates_are_nearly_the_same_and_moments_a_quarter(name: str) -> None:
    pytest.importorskip("bitsandbytes")
    made: list[torch.optim.Optimizer] = []
    start, exact, near = updated("adamw", 0), updated("adamw", 10, made), updated(name, 10, made)
    assert (near - exact).abs().mean() < 0.05 * (exact - start).abs().mean()
    full, small = (sum(moment.nbytes for state in one.state.values() for moment in moments(state)) for one in made)
    assert small < 0.35 * full


def moments(state: dict) -> list[torch.Tensor]:
    """Both, with the scales of their blocks; the table of the 256 values is the same for all weights."""
    return [value for key, value in state.items() if torch.is_tensor(value) and not key.startswith("qmap")]


def test_a_state_in_8_bits_goes_on_where_it_stopped() -> None:
    pytest.importorskip("bitsandbytes")
    through = updated("adamw_8bit", 6)
    made: list[torch.optim.Optimizer] = []
    weight = nn.Parameter(updated("adamw_8bit", 3, made))
    again = make_optimizer([weight], "adamw_8bit", lr=0.01, weight_decay=0.1)
    again.load_state_dict(copy.deepcopy(made[0].state_dict()))
    for _ in range(3):
        weight.grad = weight.detach().sin()
        again.step()
    assert torch.equal(weight, through)
