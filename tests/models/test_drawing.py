"""Draws follow the softmax and have its log-probs; the numbers that decide on them belong to their row alone."""

import math

import pytest
import torch
from scipy.stats import chisquare, kstest

from pipeline.models import drawing
from pipeline.models.drawing import Draws, Truncation, draw, row_uniforms, running_sums, stream_key, truncate
from tests.device_rules import refused_by


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniforms(rows: int) -> torch.Tensor:
    return torch.rand(rows, generator=generator(), dtype=torch.float64)


def test_the_numbers_of_a_row_depend_on_nothing_but_its_key() -> None:
    whole = row_uniforms(5, range(20), 40)
    assert whole.shape == (20, 40) and whole.dtype == torch.float64
    assert torch.equal(row_uniforms(5, [17, 3], 12), whole[[17, 3], :12])
    assert not bool((row_uniforms(6, range(20), 40) == whole).any())
    assert len(whole.unique()) == 800
    assert row_uniforms(5, [], 40).shape == (0, 40)


def test_the_numbers_are_uniform_along_rows_and_along_steps() -> None:
    numbers = row_uniforms(2**63 - 2, range(500), 40)
    assert numbers.min() >= 0 and numbers.max() < 1
    for one in (numbers.flatten(), numbers[:, 0], numbers[0]):
        assert kstest(one.numpy(), "uniform").pvalue > 0.01
    neighbours = torch.corrcoef(torch.stack([numbers[:-1].flatten(), numbers[1:].flatten()]))[0, 1]
    assert abs(neighbours) < 0.02


def test_these_are_the_numbers_of_philox() -> None:
    # kept bytes: another numpy must not sample other responses
    assert row_uniforms(1, [0], 2).tolist() == [[0.3035680343067586, 0.8487087496857769]]


def test_equal_generators_name_the_same_numbers_and_each_sampling_others() -> None:
    first, second = generator(), generator()
    keys = [stream_key(first), stream_key(first)]
    assert keys[0] == stream_key(second) != keys[1]


def test_draws_follow_the_softmax() -> None:
    logits = torch.tensor([2.0, -1.0, 0.5, 0.0, 1.0, -3.0])
    draws = draw(logits.expand(40_000, -1), uniforms(40_000)).token_ids
    counts = torch.bincount(draws, minlength=6).numpy()
    expected = torch.softmax(logits.double(), 0).numpy() * 40_000
    assert chisquare(counts, expected).pvalue > 0.01


def test_rows_have_their_own_distribution() -> None:
    logits = torch.full((3, 5), -math.inf)
    logits[0, 4] = logits[1, 0] = logits[2, 2] = 3.0
    assert draw(logits, uniforms(3)).token_ids.tolist() == [4, 0, 2]


def test_entries_of_probability_zero_are_never_drawn() -> None:
    logits = torch.tensor([-math.inf, 0.0, -math.inf, -1e4, 1.0, -math.inf])
    draws = draw(logits.expand(20_000, -1), uniforms(20_000)).token_ids
    assert set(draws.tolist()) == {1, 4}


@pytest.mark.parametrize(("uniform", "token"), [(0.0, 1), (1 - 2**-53, 3)])
def test_the_ends_of_the_range_draw_possible_tokens(uniform: float, token: int) -> None:
    logits = torch.tensor([[-math.inf, 0.0, 0.0, 0.0, -math.inf]])
    assert draw(logits, torch.tensor([uniform], dtype=torch.float64)).token_ids.item() == token


def test_every_entry_of_a_large_vocabulary_has_its_place() -> None:
    # the middle of entry i's interval draws i
    entries = torch.tensor([0, 1, 777, 24_999, 25_000, 44_444, 49_998, 49_999])
    uniform = (entries.double() + 0.5) / 50_000
    assert draw(torch.zeros(len(entries), 50_000), uniform).token_ids.tolist() == entries.tolist()


def test_a_rare_token_between_common_ones_has_its_place() -> None:
    # 0.5, 1e-9, 0.5: in fp32 the running sum would not move at the middle one
    uniform = torch.tensor([(0.5 + 0.5e-9) / (1 + 1e-9)], dtype=torch.float64)
    drawn = draw(torch.tensor([[0.0, math.log(2e-9), 0.0]]), uniform)
    assert drawn.token_ids.item() == 1
    assert drawn.logprobs.item() == pytest.approx(math.log(1e-9 / (1 + 1e-9)), rel=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_draw_has_its_log_prob(temperature: float, dtype: torch.dtype) -> None:
    logits = (3 * torch.randn(40, 3000, generator=generator(1))).to(dtype)  # more rows than are drawn at once
    drawn = draw(logits, uniforms(40), temperature=temperature)
    # divided in fp32, as the log-probs of training are
    scaled = (logits.float() / temperature).double()
    exact = torch.log_softmax(scaled, -1).gather(1, drawn.token_ids[:, None]).squeeze(1)
    assert drawn.logprobs.dtype == torch.float32
    assert torch.allclose(drawn.logprobs.double(), exact, rtol=0, atol=2e-6)
    assert exact.min() < -5, "common tokens alone show little"


def test_a_truncated_draw_has_the_log_prob_among_those_that_are_left() -> None:
    drawn = draw(LOGITS.expand(200, -1), uniforms(200), truncation=Truncation(top_k=2, top_p=1.0))
    expected = torch.log(torch.tensor([math.nan, 0.4 / 0.7, math.nan, 0.3 / 0.7, math.nan]))[drawn.token_ids]
    assert torch.allclose(drawn.logprobs, expected, atol=1e-6)
    assert set(drawn.token_ids.tolist()) == {1, 3}


LOGITS = torch.log(torch.tensor([[0.05, 0.4, 0.15, 0.3, 0.1]]))


def kept(truncation: Truncation) -> list[int]:
    return torch.isfinite(truncate(LOGITS, truncation))[0].nonzero().flatten().tolist()


@pytest.mark.parametrize(
    ("truncation", "tokens"),
    [
        ((0, 1.0), [0, 1, 2, 3, 4]),
        ((2, 1.0), [1, 3]),
        ((99, 1.0), [0, 1, 2, 3, 4]),
        ((0, 0.35), [1]),
        ((0, 0.6), [1, 3]),
        ((0, 0.8), [1, 2, 3]),
        ((3, 0.6), [1, 3]),
    ],
)
def test_truncation_keeps_the_smallest_set(truncation: tuple[int, float], tokens: list[int]) -> None:
    assert kept(Truncation(*truncation)) == tokens


def test_top_p_drops_a_token_when_those_before_it_hold_exactly_top_p() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
    assert torch.isfinite(truncate(logits, Truncation(top_k=0, top_p=0.5)))[0].tolist() == [True, False, False]


def test_without_truncation_logits_are_untouched() -> None:
    assert truncate(LOGITS, Truncation(top_k=0, top_p=1.0)) is LOGITS


def test_rows_are_drawn_alike_wherever_they_stand() -> None:
    logits = torch.randn(50, 300, generator=generator())  # more rows than are drawn at once
    uniform = uniforms(50)
    cumulative = torch.softmax(logits, -1).double().cumsum(-1)
    expected = (cumulative <= uniform[:, None] * cumulative[:, -1:]).sum(-1)
    assert draw(logits, uniform).token_ids.tolist() == expected.tolist()


def test_where_sums_of_floats_have_no_order_they_are_whole_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where torch refuses running sums of floats under deterministic algorithms."""
    logits, numbers = 4 * torch.randn(2_000, 300, generator=generator(1)), uniforms(2_000)
    truncation = Truncation(top_k=0, top_p=0.9)
    expected = [draw(logits, numbers), draw(logits, numbers, truncation=truncation)]
    assert refused_by(lambda: draw(logits, numbers)) == {"aten.cumsum"}
    monkeypatch.setattr(drawing, "_SUMS_IN_ORDER", frozenset())
    found: list[Draws] = []
    assert not refused_by(lambda: found.append(draw(logits, numbers)))
    assert not refused_by(lambda: found.append(draw(logits, numbers, truncation=truncation)))
    for ours, plain in zip(found, expected, strict=True):
        assert torch.equal(ours.token_ids, plain.token_ids)
        assert torch.allclose(ours.logprobs, plain.logprobs, atol=1e-6)


def test_whole_sums_are_exact_and_never_more_than_float64_holds() -> None:
    probabilities = torch.softmax(torch.randn(8, 150_000, generator=generator(2)), -1)
    sums = torch.softmax(torch.zeros(1, 4), -1)
    assert running_sums(sums, torch.float64).tolist() == [[0.25, 0.5, 0.75, 1.0]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "_SUMS_IN_ORDER", frozenset())
        assert running_sums(sums, torch.float64).tolist() == [[0.25, 0.5, 0.75, 1.0]]
        whole = running_sums(probabilities, torch.float64)
    assert torch.equal((whole * 2**52).long().double() * 2.0**-52, whole)
    assert torch.allclose(whole, probabilities.double().cumsum(-1), atol=1e-10)
