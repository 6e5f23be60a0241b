"""Samples follow the softmax, stop at EOS, and have the log-probs that the policy gives them."""

import math

import pytest
import torch
from scipy.stats import chisquare
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import tokenize_prompt
from pipeline.models.policy import Policy
from pipeline.models.sampling import (
    Sampler,
    Samples,
    Truncation,
    draw,
    pad_prompts,
    sample,
    sample_batches,
    truncate,
)
from pipeline.models.stopping import stop_token_ids
from pipeline.params.schema import Sampling
from tests.conftest import PolicyMaker
from tests.tiny_models import changed

PROMPTS = [[11, 12, 13, 14, 15, 16], [30], [40, 41, 42]]
PLAIN = Sampling(max_new_tokens=12, temperature=1.0, stop_tokens=[], batch_size=4)
GREEDY = Truncation(top_k=1, top_p=1.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sampling(**changes: float) -> Sampling:
    return PLAIN.model_copy(update=changes)


def run(
    policy: Policy,
    tokenizer: PreTrainedTokenizerBase,
    settings: Sampling,
    *,
    eos: int | None = None,
    truncation: Truncation | None = None,
) -> Samples:
    ids, mask = pad_prompts(PROMPTS, pad_token_id=tokenizer.pad_token_id)
    stop_ids = torch.tensor([tokenizer.eos_token_id if eos is None else eos])
    return sample(Sampler(policy, tokenizer, settings, stop_ids, truncation), ids, mask, generator())


def test_draws_follow_the_softmax() -> None:
    logits = torch.tensor([2.0, -1.0, 0.5, 0.0, 1.0, -3.0])
    draws = draw(logits.expand(40_000, -1), generator()).token_ids
    counts = torch.bincount(draws, minlength=6).numpy()
    expected = torch.softmax(logits.double(), 0).numpy() * 40_000
    assert chisquare(counts, expected).pvalue > 0.01


def test_rows_have_their_own_distribution() -> None:
    logits = torch.full((3, 5), -math.inf)
    logits[0, 4] = logits[1, 0] = logits[2, 2] = 3.0
    assert draw(logits, generator()).token_ids.tolist() == [4, 0, 2]


def test_entries_of_probability_zero_are_never_drawn() -> None:
    logits = torch.tensor([-math.inf, 0.0, -math.inf, -1e4, 1.0, -math.inf])
    draws = draw(logits.expand(20_000, -1), generator()).token_ids
    assert set(draws.tolist()) == {1, 4}


@pytest.mark.parametrize(("uniform", "token"), [(0.0, 1), (1 - 2**-53, 3)])
def test_the_ends_of_the_range_draw_possible_tokens(
    monkeypatch: pytest.MonkeyPatch, uniform: float, token: int
) -> None:
    monkeypatch.setattr(torch, "rand", lambda *size, dtype, **_: torch.full(size, uniform, dtype=dtype))
    logits = torch.tensor([[-math.inf, 0.0, 0.0, 0.0, -math.inf]])
    assert draw(logits, generator()).token_ids.item() == token


def test_one_uniform_number_a_row_and_step() -> None:
    first, second = generator(), generator()
    draw(torch.zeros(4, 1000), first)
    torch.rand(4, 1, generator=second, dtype=torch.float64)
    assert torch.equal(first.get_state(), second.get_state())


def test_every_entry_of_a_large_vocabulary_has_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    # the middle of entry i's interval draws i
    entries = torch.tensor([0, 1, 777, 24_999, 25_000, 44_444, 49_998, 49_999])
    uniform = (entries.double()[:, None] + 0.5) / 50_000
    monkeypatch.setattr(torch, "rand", lambda *size, **_: uniform)
    assert draw(torch.zeros(len(entries), 50_000), generator()).token_ids.tolist() == entries.tolist()


def test_a_rare_token_between_common_ones_has_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    # 0.5, 1e-9, 0.5: in fp32 the running sum would not move at the middle one
    uniform = torch.tensor([[(0.5 + 0.5e-9) / (1 + 1e-9)]], dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *size, **_: uniform)
    drawn = draw(torch.tensor([[0.0, math.log(2e-9), 0.0]]), generator())
    assert drawn.token_ids.item() == 1
    assert drawn.logprobs.item() == pytest.approx(math.log(1e-9 / (1 + 1e-9)), rel=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_draw_has_its_log_prob(temperature: float, dtype: torch.dtype) -> None:
    logits = (3 * torch.randn(40, 3000, generator=generator(1))).to(dtype)  # more rows than are drawn at once
    drawn = draw(logits, generator(), temperature=temperature)
    # divided in fp32, as the log-probs of training are
    scaled = (logits.float() / temperature).double()
    exact = torch.log_softmax(scaled, -1).gather(1, drawn.token_ids[:, None]).squeeze(1)
    assert drawn.logprobs.dtype == torch.float32
    assert torch.allclose(drawn.logprobs.double(), exact, rtol=0, atol=2e-6)
    assert exact.min() < -5, "common tokens alone show little"


def test_a_truncated_draw_has_the_log_prob_among_those_that_are_left() -> None:
    drawn = draw(LOGITS.expand(200, -1), generator(), truncation=Truncation(top_k=2, top_p=1.0))
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


def test_greedy_equals_generate(make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase) -> None:
    policy = make_policy()
    batch, logprobs = run(policy, tokenizer, PLAIN, truncation=GREEDY)
    assert bool((logprobs == 0).all()), "one token has all of the probability"
    for row, prompt in enumerate(PROMPTS):
        # alone and unpadded: generate's own greedy search
        expected = policy.causal_lm.generate(
            torch.tensor([prompt]), max_new_tokens=12, do_sample=False, eos_token_id=tokenizer.eos_token_id
        )[0, len(prompt) :].tolist()
        assert batch.response_ids[row][batch.response_mask[row]].tolist() == expected


def test_greedy_stops_where_generate_does(make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase) -> None:
    policy = make_policy()
    free = run(policy, tokenizer, PLAIN, truncation=GREEDY).batch
    eos = free.response_ids[0, 3].item()  # now it ends rows where it appears
    batch = run(policy, tokenizer, PLAIN, eos=eos, truncation=GREEDY).batch
    lengths = set()
    for row, prompt in enumerate(PROMPTS):
        expected = policy.causal_lm.generate(
            torch.tensor([prompt]), max_new_tokens=12, do_sample=False, eos_token_id=eos, pad_token_id=0
        )[0, len(prompt) :].tolist()
        assert batch.response_ids[row][batch.response_mask[row]].tolist() == expected
        lengths.add(len(expected))
    assert len(lengths) > 1, "every row ended at the same step: the test shows nothing"


def test_the_mask_ends_with_the_first_eos(make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase) -> None:
    policy = make_policy()
    free = run(policy, tokenizer, PLAIN).batch
    eos = free.response_ids[1, 2].item()
    batch, logprobs = run(policy, tokenizer, PLAIN, eos=eos)
    assert bool((logprobs[~batch.response_mask] == 0).all()) and bool((logprobs[batch.response_mask] < 0).all())
    ended = 0
    for ids, mask in zip(batch.response_ids, batch.response_mask, strict=True):
        length = int(mask.sum())
        assert mask.tolist() == [True] * length + [False] * (len(mask) - length)
        assert eos not in ids[: length - 1].tolist()
        assert ids[length:].tolist() == [tokenizer.pad_token_id] * (len(mask) - length)
        ended += ids[length - 1].item() == eos
    assert ended >= 1
    assert torch.equal(batch.attention_mask[:, -batch.response_mask.shape[1] :], batch.response_mask)
    assert torch.equal(batch.input_ids[:, -batch.response_ids.shape[1] :], batch.response_ids)


def test_sampling_stops_when_every_row_has_ended(make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase) -> None:
    policy = make_policy()
    with torch.no_grad():  # every state predicts EOS
        policy.causal_lm.lm_head.weight.zero_()
        policy.causal_lm.model.norm.weight.zero_()
    policy.causal_lm.lm_head.bias = torch.nn.Parameter(torch.zeros(len(tokenizer)))
    with torch.no_grad():
        policy.causal_lm.lm_head.bias[tokenizer.eos_token_id] = 100.0
    batch = run(policy, tokenizer, PLAIN).batch
    assert batch.response_ids.tolist() == [[tokenizer.eos_token_id]] * 3
    assert batch.response_mask.tolist() == [[True]] * 3


def test_the_same_generator_gives_the_same_samples(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase
) -> None:
    policy = make_policy()
    first, second = run(policy, tokenizer, PLAIN), run(policy, tokenizer, PLAIN)
    assert torch.equal(first.batch.input_ids, second.batch.input_ids)
    assert torch.equal(first.logprobs, second.logprobs)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probs_of_samples_are_those_they_were_drawn_with(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, temperature: float
) -> None:
    policy = make_policy()
    free = run(policy, tokenizer, sampling(temperature=temperature)).batch
    batch, when_drawn = run(policy, tokenizer, sampling(temperature=temperature), eos=free.response_ids[0, 4].item())
    assert not bool(batch.response_mask.all()), "no response has ended"
    recomputed = policy(batch, temperature=temperature).logprobs
    assert torch.allclose(recomputed[batch.response_mask], when_drawn[batch.response_mask], atol=1e-4)


def test_rows_are_drawn_alike_wherever_they_stand() -> None:
    logits = torch.randn(50, 300, generator=generator())  # more rows than are drawn at once
    uniform = torch.rand(50, 1, generator=generator(), dtype=torch.float64)
    cumulative = torch.softmax(logits, -1).double().cumsum(-1)
    expected = (cumulative <= uniform * cumulative[:, -1:]).sum(-1)
    assert draw(logits, generator()).token_ids.tolist() == expected.tolist()


def test_first_tokens_follow_the_policys_distribution(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase
) -> None:
    policy = make_policy()
    ids = torch.tensor([[11, 12, 13]]).expand(4000, -1)
    sampler = Sampler.of(policy, tokenizer, sampling(max_new_tokens=1, temperature=0.8))
    batch = sample(sampler, ids, torch.ones_like(ids, dtype=torch.bool), generator()).batch
    with torch.no_grad():
        probabilities = torch.softmax(policy.causal_lm(ids[:1]).logits[0, -1].double() / 0.8, 0)
    common = (probabilities * 4000 > 5).nonzero().flatten()
    counts = torch.bincount(batch.response_ids[:, 0], minlength=len(probabilities)).double()
    rest = 4000 - counts[common].sum(), 4000 * (1 - probabilities[common].sum())
    observed = torch.cat([counts[common], rest[0][None]]).numpy()
    expected = torch.cat([4000 * probabilities[common], rest[1][None]]).numpy()
    assert chisquare(observed, expected).pvalue > 0.01


def test_batches_keep_the_order_of_the_prompts(make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase) -> None:
    texts = ["The film", "The", "My friends hated it", "I loved the music", "A boring waste"]
    sampler = Sampler.of(make_policy(), tokenizer, sampling(batch_size=2, max_new_tokens=3))
    batches = sample_batches(sampler, texts, generator=generator(), title="t")
    assert [len(batch.input_ids) for batch in batches] == [2, 2, 1]
    prompts = [
        ids[: -batch.response_ids.shape[1]][mask[: -batch.response_ids.shape[1]]].tolist()
        for batch in batches
        for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)
    ]
    assert prompts == [tokenize_prompt(tokenizer, text) for text in texts]


def test_batches_may_be_truncated(make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase) -> None:
    texts = ["The film", "The film"]
    (greedy,), (free,) = (
        sample_batches(
            Sampler.of(make_policy(), tokenizer, PLAIN, truncation=truncation), texts, generator=generator(), title="t"
        )
        for truncation in (GREEDY, None)
    )
    assert torch.equal(*greedy.response_ids)
    assert not torch.equal(*free.response_ids)


def test_prompts_are_padded_on_the_left() -> None:
    ids, mask = pad_prompts([[5, 6, 7], [8]], pad_token_id=0)
    assert ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert mask.tolist() == [[True, True, True], [False, False, True]]


def test_a_stop_token_ends_a_response_and_stays_in_it(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase
) -> None:
    sampling = changed(PLAIN, stop_tokens=["a", "e"])
    stops = stop_token_ids(tokenizer, sampling, None)
    assert stops.tolist() == [tokenizer.eos_token_id, *tokenizer.convert_tokens_to_ids(["a", "e"])]
    ids, mask = pad_prompts([[5, 6]] * 64, pad_token_id=tokenizer.pad_token_id)
    sampler = Sampler.of(make_policy(), tokenizer, changed(sampling, max_new_tokens=40))
    assert torch.equal(sampler.stop_ids, stops)
    batch = sample(sampler, ids, mask, generator()).batch
    stopped = 0
    for row, keep in zip(batch.response_ids, batch.response_mask, strict=True):
        kept = row[keep]
        assert not bool(torch.isin(kept[:-1], stops).any())
        stopped += int(kept[-1] in stops.tolist()[1:])
    assert stopped > 0


def test_the_next_batch_meets_the_same_numbers_however_long_this_one_was(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Two policies are compared on the same random numbers: one that ends early must not shift those of the other."""
    states = []
    for stops in (torch.arange(len(tokenizer)), torch.tensor([tokenizer.eos_token_id])):
        generator = torch.Generator().manual_seed(0)
        ids, mask = pad_prompts([[5, 6], [7]], pad_token_id=tokenizer.pad_token_id)
        sampling = Sampling(max_new_tokens=5, temperature=1.0, stop_tokens=[], batch_size=2)
        made = sample(Sampler(make_policy(), tokenizer, sampling, stops), ids, mask, generator)
        states.append((made.batch.response_mask.shape[1], generator.get_state()))
    assert states[0][0] == 1 < states[1][0]
    assert torch.equal(states[0][1], states[1][1])
