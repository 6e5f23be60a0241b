"""Summed log-probs of responses, against sums of single tokens."""

import math
from dataclasses import replace
from typing import Any

import pytest

from pipeline.data.tokens import ForwardLimit, TokenizedExample
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.models.scoring import response_logps, score_responses
from tests.conftest import PolicyMaker

EXAMPLES = [TokenizedExample([11 + i], [20 + i + k for k in range(1 + i % 4)]) for i in range(7)]

PAIRS = [
    *(TokenizedExample([11, 12, 13, 14, 15], response) for response in ([20, 21, 2], [22])),
    *(TokenizedExample([30], response) for response in ([31, 32, 33, 34, 35, 36], [])),
    *(TokenizedExample([40, 41, 42], response) for response in ([43], [44, 45])),
]


@pytest.fixture
def policy(make_policy: PolicyMaker) -> Policy:
    return make_policy()


def test_a_response_is_the_sum_of_its_tokens(policy: Policy, compute: Compute) -> None:
    # each token scored as a one-token response to everything before it
    whole = TokenizedExample([11, 12], [13, 14, 15])
    single = [
        TokenizedExample([11, 12], [13]),
        TokenizedExample([11, 12, 13], [14]),
        TokenizedExample([11, 12, 13, 14], [15]),
    ]
    total, *parts = score_responses(policy, [whole, *single], compute, pad_token_id=0, batch_size=8, title="test")
    assert total == pytest.approx(sum(parts), abs=1e-4)


def test_all_one_token_responses_together_have_probability_one(policy: Policy, compute: Compute) -> None:
    size = policy.causal_lm.config.vocab_size
    examples = [TokenizedExample([11, 12, 13], [token]) for token in range(size)]
    logps = score_responses(policy, examples, compute, pad_token_id=0, batch_size=64, title="test")
    assert sum(map(math.exp, logps)) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_order_and_batch_size_change_nothing(policy: Policy, compute: Compute, batch_size: int) -> None:
    alone = [response_logps(policy, [example], compute, pad_token_id=0).item() for example in EXAMPLES]
    logps = score_responses(policy, EXAMPLES, compute, pad_token_id=0, batch_size=batch_size, title="test")
    assert logps == pytest.approx(alone, abs=1e-4)
    assert score_responses(policy, EXAMPLES[::-1], compute, pad_token_id=0, batch_size=batch_size, title="t") == (
        pytest.approx(alone[::-1], abs=1e-4)
    )


def test_no_responses_are_no_error(policy: Policy, compute: Compute) -> None:
    assert score_responses(policy, [], compute, pad_token_id=0, batch_size=4, title="test") == []


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_batches_that_part_a_group_change_nothing(make_policy: PolicyMaker, compute: Compute, batch_size: int) -> None:
    policy = make_policy()
    together = response_logps(policy, PAIRS, compute, pad_token_id=0).tolist()
    scored = score_responses(policy, PAIRS, compute, pad_token_id=0, batch_size=batch_size, title="test")
    assert scored == pytest.approx(together, abs=1e-4)


def test_long_responses_pass_in_parts_and_pairs_stay_together(
    policy: Policy, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [
        TokenizedExample([11 + i] * (3 + i), [20 + k for k in range(length)]) for i in range(6) for length in (9, 4 + i)
    ]
    passed: list[list[TokenizedExample]] = []

    def counted(policy: Policy, examples: list[TokenizedExample], *args: Any, **more: Any) -> Any:
        passed.append(examples)
        return response_logps(policy, examples, *args, **more)

    monkeypatch.setattr("pipeline.models.scoring.response_logps", counted)

    def scored(limit: ForwardLimit | None) -> list[float]:
        passed.clear()
        bounded = replace(compute, frozen_limit=limit)
        return score_responses(policy, pairs, bounded, pad_token_id=0, batch_size=100, title="test")

    whole = scored(None)
    assert len(passed) == 1
    assert scored(ForwardLimit(above=40, part=40)) == pytest.approx(whole, abs=1e-4)
    assert len(passed) > 2
    for part in passed:
        assert len(part) * max(map(len, part)) <= 40
        assert len(part) % 2 == 0, "the responses to one prompt were parted"
    assert scored(ForwardLimit(above=10_000, part=40)) == whole and len(passed) == 1
