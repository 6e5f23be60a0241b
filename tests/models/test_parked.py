"""A frozen network that waits elsewhere has its weights back, to the byte, while it is read."""

import pytest
import torch
from torch import nn

from pipeline.models.parked import Parked

CPU = torch.device("cpu")


def network() -> nn.Module:
    torch.manual_seed(0)
    first, last = nn.Linear(4, 4), nn.Linear(4, 4)
    last.weight = first.weight  # as a vocabulary head that is tied to the embeddings
    return nn.Sequential(first, last).requires_grad_(False)


def places(model: nn.Module) -> list[int]:
    return [parameter.data_ptr() for parameter in model.parameters()]


def test_weights_are_on_the_device_inside_the_block_alone() -> None:
    model, inputs = network(), torch.ones(2, 4)
    expected = model(inputs)
    parked = Parked(model, CPU)
    kept = places(model)
    for _ in range(2):
        with parked.here():
            assert not set(places(model)) & set(kept), "another copy"
            assert torch.equal(model(inputs), expected)
            assert model[0].weight is model[1].weight
        assert places(model) == kept, "the host's copy, and none made of it"


def test_it_leaves_when_reading_fails() -> None:
    model = network()
    parked = Parked(model, CPU)
    kept = places(model)
    with pytest.raises(KeyError), parked.here():
        raise KeyError
    assert places(model) == kept


def test_what_is_trained_cannot_wait() -> None:
    model = network()
    model[1].bias.requires_grad_()
    with pytest.raises(ValueError, match=r"1\.bias is trained"):
        Parked(model, CPU)


def test_it_goes_where_it_is_read() -> None:
    """A device without memory takes the weights' place: torch calls it `meta`."""
    asked: list[torch.device] = []

    class Weight(torch.Tensor):
        def to(self, device: torch.device, **options: object) -> torch.Tensor:  # type: ignore[override]
            asked.append(torch.empty(0, device=device).device)
            return torch.zeros(self.shape)

    parked = Parked(network(), torch.device("meta"))
    parked._kept = [(parameter, kept.as_subclass(Weight)) for parameter, kept in parked._kept]
    with parked.here():
        assert {device.type for device in asked} == {"meta"} and len(asked) == 3
