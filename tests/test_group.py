import pytest
import torch

from pipeline import group


def test_a_process_that_torchrun_did_not_start_is_a_group_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "3")
    assert (group.size(), group.rank(), group.is_first()) == (1, 0, True)
    tensor = torch.ones(2)
    group.add_up([tensor])
    assert tensor.tolist() == [1, 1] and group.gathered([1, 2]) == [1, 2] and group.dealt([1, 2]) == [1, 2]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("items", [0, 1, 6, 7, 20])
def test_each_item_is_dealt_once(monkeypatch: pytest.MonkeyPatch, size: int, items: int) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")
    monkeypatch.setenv("WORLD_SIZE", str(size))
    hands = []
    for rank in range(size):
        monkeypatch.setenv("RANK", str(rank))
        hands.append(group.dealt(range(items)))
    assert sorted(item for hand in hands for item in hand) == list(range(items))
