"""Prompts that are read in parts are read as each is alone, and equal ones once."""

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from pipeline.models import prompt_reading
from pipeline.models.prompt_reading import pad_prompts, read_prompts
from tests.conftest import PolicyMaker

PROMPTS = [[11, 12, 13, 14, 15, 16], [30], [40, 41, 42], [30], [50, 51, 52]]


@pytest.mark.parametrize(("tokens", "read"), [(1, 13), (6, 15), (1000, 24)])
def test_prompts_are_read_as_each_is_alone(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    monkeypatch: pytest.MonkeyPatch,
    tokens: int,
    read: int,
) -> None:
    network, seen = make_policy().causal_lm, []
    monkeypatch.setattr(prompt_reading, "_TOKENS", {"cpu": tokens})
    network.base_model.register_forward_pre_hook(
        lambda module, positional, named: seen.append(named["input_ids"].numel()), with_kwargs=True
    )
    with torch.no_grad():
        states, cache = read_prompts(network, PROMPTS, pad_token_id=tokenizer.pad_token_id, room=2, new=2)
        assert sum(seen) == read, "padding was read, or equal prompts twice"
        for row, prompt in enumerate(PROMPTS):
            alone = network.base_model(input_ids=torch.tensor([prompt]), use_cache=False).last_hidden_state[0, -1]
            assert torch.allclose(states[row], alone, atol=1e-5)
        mask, positions = cache.next_token()
    assert mask[:, :7].sum(1).tolist() == [len(prompt) + 1 for prompt in PROMPTS] and not bool(mask[:, 7:].any())
    assert positions[:, 0].tolist() == [len(prompt) for prompt in PROMPTS]


def test_prompts_are_padded_on_the_left() -> None:
    ids, mask = pad_prompts([[5, 6, 7], [8]], pad_token_id=0)
    assert ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert mask.tolist() == [[True, True, True], [False, False, True]]
