"""Samples follow the softmax, stop at EOS, and have the log-probs that the policy gives them."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from transformers import PreTrainedTokenizerBase

from pipeline.models import sampling as module
from pipeline.models.chunked_sampling import Samples, together
from pipeline.models.drawing import Truncation, row_uniforms
from pipeline.models.policy import Policy
from pipeline.models.sampling import Sampler, sample
from pipeline.models.stopping import stop_token_ids
from pipeline.params.schema import Sampling
from tests.conftest import PolicyMaker
from tests.tiny_models import changed

PROMPTS = [[11, 12, 13, 14, 15, 16], [30], [40, 41, 42]]
PLAIN = Sampling(max_new_tokens=12, temperature=1.0, stop_tokens=[], batch_size=4, max_prompt_tokens=None)
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
    stop_ids = torch.tensor([tokenizer.eos_token_id if eos is None else eos])
    sampler = Sampler(policy, tokenizer, settings, stop_ids, truncation)
    return together(sample(sampler, PROMPTS, numbers(len(PROMPTS))), pad_token_id=tokenizer.pad_token_id)


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
    prompt = [11, 12, 13]
    sampler = Sampler.of(policy, tokenizer, sampling(max_new_tokens=1, temperature=0.8))
    drawn = sample(sampler, [prompt] * 4000, numbers(4000))
    tokens = torch.tensor([one.example.response_ids[0] for one in drawn])
    with torch.no_grad():
        probabilities = torch.softmax(policy.causal_lm(torch.tensor([prompt])).logits[0, -1].double() / 0.8, 0)
    common = (probabilities * 4000 > 5).nonzero().flatten()
    counts = torch.bincount(tokens, minlength=len(probabilities)).double()
    rest = 4000 - counts[common].sum(), 4000 * (1 - probabilities[common].sum())
    observed = torch.cat([counts[common], rest[0][None]]).numpy()
    expected = torch.cat([4000 * probabilities[common], rest[1][None]]).numpy()
    assert chisquare(observed, expected).pvalue > 0.01


def test_a_stop_token_ends_a_response_and_stays_in_it(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase
) -> None:
    sampling = changed(PLAIN, stop_tokens=["a", "e"])
    stops = stop_token_ids(tokenizer, sampling, None)
    assert stops.tolist() == [tokenizer.eos_token_id, *tokenizer.convert_tokens_to_ids(["a", "e"])]
    sampler = Sampler.of(make_policy(), tokenizer, changed(sampling, max_new_tokens=40))
    assert torch.equal(sampler.stop_ids, stops)
    stopped = 0
    for one in sample(sampler, [[5, 6]] * 64, numbers(64)):
        *before, last = one.example.response_ids
        assert not set(before) & set(stops.tolist())
        stopped += last in stops.tolist()[1:]
    assert stopped > 0


def rows_that_end(policy: Policy, tokenizer: PreTrainedTokenizerBase) -> Sampler:
    """Of a vocabulary in which every eighth token ends a response."""
    stops = torch.arange(0, len(tokenizer), 8)
    return Sampler(policy, tokenizer, sampling(max_new_tokens=40), stops)


MANY = [[11 + row % 7] * (1 + row * 5 % 23) for row in range(30)]


@pytest.mark.parametrize(("look", "room"), [(1, 32), (1, 3), (4, 5), (8, 32), (64, 1)])
def test_rows_that_leave_do_not_change_what_the_others_say(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    monkeypatch: pytest.MonkeyPatch,
    look: int,
    room: int,
) -> None:
    sampler, uniform = rows_that_end(make_policy(), tokenizer), numbers(len(MANY))
    alone = [sample(sampler, [prompt], uniform[row : row + 1])[0] for row, prompt in enumerate(MANY)]
    lengths = {len(one.logprobs) for one in alone}
    assert len(lengths) > 8 and max(lengths) > 20, "all end together: the test shows nothing"
    widths = []
    project = module.project_logits
    monkeypatch.setattr(
        module, "project_logits", lambda *arguments: widths.append(len(arguments[1])) or project(*arguments)
    )
    monkeypatch.setattr(module, "_LOOK", {"cpu": look})
    monkeypatch.setattr(module, "ROOM", room)
    for one, other in zip(sample(sampler, MANY, uniform), alone, strict=True):
        assert one.example == other.example
        assert torch.allclose(one.logprobs, other.logprobs, atol=1e-5)
    assert sorted(widths, reverse=True) == widths and widths[-1] < 30
    whole_steps = max(lengths)
    if look == 1:
        assert len(widths) == whole_steps
        for step, width in enumerate(widths):
            running = sum(len(one.logprobs) > step for one in alone)
            assert width < 2 * running or width == running
    assert len(widths) < whole_steps + look


def test_one_token_alone_needs_no_room(make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase) -> None:
    sampler = Sampler.of(make_policy(), tokenizer, sampling(max_new_tokens=1))
    assert [len(one.logprobs) for one in sample(sampler, PROMPTS, numbers(3))] == [1, 1, 1]


def test_what_is_sampled_is_what_a_plain_loop_samples(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase
) -> None:
    """No cache, no padding, no batch: all of a sequence passes for each token."""
    policy, uniform = make_policy(), numbers(len(PROMPTS))
    sampled = sample(Sampler.of(policy, tokenizer, sampling(temperature=0.7)), PROMPTS, uniform)
    for row, prompt in enumerate(PROMPTS):
        ids = list(prompt)
        for step in range(12):
            with torch.no_grad():
                logits = policy.causal_lm(torch.tensor([ids])).logits[0, -1].double() / 0.7
            cumulative = logits.softmax(-1).cumsum(-1)
            ids.append(int((cumulative <= uniform[row, step]).sum()))
            if ids[-1] == tokenizer.eos_token_id:
                break
        assert sampled[row].example.response_ids == ids[len(prompt) :]


@pytest.mark.parametrize("attention", ["sdpa", "flex"])
def test_on_another_device_no_token_waits_for_the_host(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks at the ends nothing reads a value: no tensor becomes a number, a list or a condition."""
    policy, uniform = make_policy(), numbers(len(MANY))
    sampler = rows_that_end(policy, tokenizer)
    expected = sample(sampler, MANY, uniform)
    policy.causal_lm.set_attn_implementation(attention)
    monkeypatch.setattr(module, "_LOOK", {})  # as on a GPU
    looks: list[str] = []
    steps: list[int] = []
    for name in ("item", "tolist", "__bool__", "__int__", "nonzero"):
        original = getattr(torch.Tensor, name)

        def counted(tensor: torch.Tensor, *args: Any, original: Any = original, name: str = name, **more: Any) -> Any:
            if steps:
                looks.append(name)
            return original(tensor, *args, **more)

        monkeypatch.setattr(torch.Tensor, name, counted)
    draw = module.draw

    def step(*arguments: Any, **more: Any) -> Any:
        steps.append(len(looks))
        return draw(*arguments, **more)

    monkeypatch.setattr(module, "draw", step)
    found = sample(sampler, MANY, uniform)
    assert [one.example for one in found] == [one.example for one in expected]
    assert len(steps) > 16
    for number, (before, after) in enumerate(pairwise(steps), start=1):
        assert after == before or number % 8 == 0, f"step {number}: {looks[before:after]}"
