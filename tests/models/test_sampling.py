"""Samples follow the softmax, stop at EOS, and have the log-probs that the policy gives them."""

import pytest
import torch
from scipy.stats import chisquare
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import tokenize_prompt
from pipeline.models.drawing import Truncation, row_uniforms
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampler, Samples, pad_prompts, sample, sample_batches
from pipeline.models.stopping import stop_token_ids
from pipeline.params.schema import Sampling
from tests.conftest import PolicyMaker
from tests.tiny_models import changed

PROMPTS = [[11, 12, 13, 14, 15, 16], [30], [40, 41, 42]]
PLAIN = Sampling(max_new_tokens=12, temperature=1.0, stop_tokens=[], batch_size=4)
GREEDY = Truncation(top_k=1, top_p=1.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbers(rows: int, seed: int = 0) -> torch.Tensor:
    return row_uniforms(seed, range(rows), 40)


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
    return sample(Sampler(policy, tokenizer, settings, stop_ids, truncation), ids, mask, numbers(len(ids)))


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


def test_first_tokens_follow_the_policys_distribution(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase
) -> None:
    policy = make_policy()
    ids = torch.tensor([[11, 12, 13]]).expand(4000, -1)
    sampler = Sampler.of(policy, tokenizer, sampling(max_new_tokens=1, temperature=0.8))
    batch = sample(sampler, ids, torch.ones_like(ids, dtype=torch.bool), numbers(len(ids))).batch
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
    batch = sample(sampler, ids, mask, numbers(len(ids))).batch
    stopped = 0
    for row, keep in zip(batch.response_ids, batch.response_mask, strict=True):
        kept = row[keep]
        assert not bool(torch.isin(kept[:-1], stops).any())
        stopped += int(kept[-1] in stops.tolist()[1:])
    assert stopped > 0


def test_a_response_does_not_depend_on_its_batch(make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase) -> None:
    """Two policies are compared on the same random numbers: one that ends early must not shift those of the other."""
    texts = ["The film", "The", "My friends hated it", "I loved the music", "A boring waste"] * 3
    policy = make_policy()
    stops = torch.tensor([tokenizer.eos_token_id, *range(300, 330)])
    found = []
    for batch_size in (1, 2, 7, 100):
        sampler = Sampler(policy, tokenizer, sampling(batch_size=batch_size), stops)
        batches = sample_batches(sampler, texts, generator=torch.Generator().manual_seed(0), title="t")
        found.append(
            [
                row[mask].tolist()
                for one in batches
                for row, mask in zip(one.response_ids, one.response_mask, strict=True)
            ]
        )
    assert len({len(response) for response in found[0]}) > 2, "all are of one length: the test shows nothing"
    assert all(one == found[0] for one in found)
