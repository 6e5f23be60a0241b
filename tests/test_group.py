import pytest
import torch

from pipeline import group
from tests.ranks import as_ranks


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


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("items", [0, 1, 2, 3, 7])
def test_every_process_gets_all_results_in_order(monkeypatch: pytest.MonkeyPatch, size: int, items: int) -> None:
    made: list[tuple[int, int]] = []

    def doubled(item: int) -> int:
        made.append((group.rank(), item))
        return 2 * item

    found = as_ranks(monkeypatch, size, lambda _: list(group.map_dealt(doubled, iter(range(items)))))
    assert found == [[2 * item for item in range(items)]] * size
    assert sorted(made) == sorted((item % size, item) for item in range(items))
    assert list(group.map_dealt(doubled, range(items))) == found[0]


def test_items_and_results_are_made_as_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def first_results(_: int) -> tuple[list[int], int]:
        made: list[int] = []
        results = group.map_dealt(abs, (made.append(item) or item for item in range(100)))
        return [next(results) for _ in range(3)], len(made)

    assert as_ranks(monkeypatch, 2, first_results) == [([0, 1, 2], 4)] * 2
    assert first_results(0) == ([0, 1, 2], 3)


@pytest.mark.parametrize("more", [1, 2, 3, 4])
def test_processes_with_different_work_end_and_do_not_wait(monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    with pytest.raises(RuntimeError, match="different work"):
        as_ranks(monkeypatch, 2, lambda rank: list(group.map_dealt(abs, range(4 + more * rank))))


def test_a_process_that_fails_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(item: int) -> int:
        raise KeyError(item)

    with pytest.raises(KeyError, match="1"):
        as_ranks(monkeypatch, 3, lambda rank: list(group.map_dealt(fails if rank == 1 else abs, range(3))))


def test_the_first_process_does_a_task_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    found = as_ranks(monkeypatch, 3, lambda rank: group.from_first(lambda: f"of {rank}"))
    assert found == ["of 0"] * 3 and group.from_first(lambda: "alone") == "alone"


def test_results_are_gathered_in_the_order_of_the_items(monkeypatch: pytest.MonkeyPatch) -> None:
    for items in (0, 1, 5, 6):
        whole = list(range(items))
        assert as_ranks(monkeypatch, 3, lambda _, whole=whole: group.gathered(group.dealt(whole))) == [whole] * 3


def test_tensors_stay_where_they_are_with_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = torch.ones(2, device="meta")
    assert group.portable([tensor])[0] is tensor
    (kept,) = as_ranks(monkeypatch, 2, lambda _: group.portable([torch.ones(2)])[0].device.type)[:1]
    assert kept == "cpu"
