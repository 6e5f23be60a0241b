"""The check that DPO starts at its reference has teeth on responses of 2,000 tokens, and lets rounding pass."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from pipeline.data.tokens import ForwardLimit, TokenizedExample
from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy, load_policy, load_reference
from pipeline.models.scoring import score_responses
from pipeline.params.base import Finetuning
from pipeline.params.schema import Params
from pipeline.preferences.scored import ScoredPair
from pipeline.training.dpo import check_first_log_ratios, train_dpo
from tests.tiny_models import FULL, LORA, byte_level_tokenizer, changed, llama_config
from tests.training.recording import Recorder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny policy with room for 4,096 tokens."""
    folder, tokenizer = tmp_path_factory.mktemp("long"), byte_level_tokenizer()
    torch.manual_seed(0)
    LlamaForCausalLM(llama_config(tokenizer, max_position_embeddings=4096)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def bf16_long(bf16: Compute) -> Compute:
    return replace(bf16, forward_limit=ForwardLimit(4096, 4096))


def examples_of(pairs: int) -> list[TokenizedExample]:
    """A response of 2,000 and one of 1,500 tokens to each prompt."""
    generator = torch.Generator().manual_seed(0)

    def draw(count: int) -> list[int]:
        return torch.randint(3, 300, (count,), generator=generator).tolist()

    prompts = [draw(10) for _ in range(pairs)]
    return [TokenizedExample(prompt, draw(length)) for prompt in prompts for length in (2000, 1500)]


def scored(policy: Policy, examples: list[TokenizedExample], compute: Compute, *, batch_size: int) -> list[float]:
    return score_responses(policy, examples, compute, pad_token_id=0, batch_size=batch_size, title="log-probs")


def pairs_of(examples: list[TokenizedExample], logps: list[float]) -> list[ScoredPair]:
    return [ScoredPair(str(i), *examples[i : i + 2], *logps[i : i + 2]) for i in range(0, len(examples), 2)]


@pytest.mark.parametrize(
    ("finetuning", "learning_rate", "count"),
    [
        (FULL, 2.2e-4, 1),
        pytest.param(LORA, 2e-3, 4, marks=pytest.mark.slow(beside="test_a_reference_one_training_step_off_is_refused")),
    ],
    ids=["one response", "in the mean"],
)
def test_a_reference_one_training_step_off_is_refused(
    folder: Path, bf16_long: Compute, params: Params, finetuning: Finetuning, learning_rate: float, count: int
) -> None:
    """A limit that grew with the tokens would be 86 nats, and no response is off by so much."""
    examples = examples_of(count)
    settings = changed(
        params.optimize.dpo,
        learning_rate=learning_rate,
        warmup_ratio=0.0,
        num_train_epochs=1,
        per_device_train_batch_size=count,
        finetuning=finetuning.model_dump(),
        save_steps=0,
    )
    policy = load_policy(folder, bf16_long, finetuning=finetuning)
    before = scored(policy, examples, bf16_long, batch_size=4)
    train_dpo(policy, pairs_of(examples, before), settings, Recorder().run(bf16_long), pad_token_id=0)
    moved = pairs_of(examples, scored(policy, examples, bf16_long, batch_size=4))
    assert max(abs(pair.ref_chosen_logps - old) for pair, old in zip(moved, before[::2], strict=True)) < 86
    start = load_policy(folder, bf16_long, finetuning=finetuning)
    with pytest.raises(PipelineError, match="score_reference"):
        train_dpo(start, moved, settings, Recorder().run(bf16_long), pad_token_id=0)


@pytest.mark.parametrize(
    "finetuning",
    [LORA, pytest.param(FULL, marks=pytest.mark.slow(beside="test_rounding_in_other_batches_passes"))],
    ids=["lora", "full"],
)
def test_rounding_in_other_batches_passes(folder: Path, bf16_long: Compute, finetuning: Finetuning) -> None:
    """Alone, each with its own copy of the prompt, its padding and the plain attention, against four in a batch."""
    examples = examples_of(4)
    # attention differs because some processors round the rest alike, whatever else is in the batch
    apart = replace(bf16_long, shared_prompts=False, attention="eager")
    reference = load_reference(folder, apart, method=finetuning.method)
    reference.padding_free = False
    pairs = pairs_of(examples, scored(reference, examples, apart, batch_size=1))
    policy = load_policy(folder, bf16_long, finetuning=finetuning)
    logps = torch.tensor(scored(policy, examples, bf16_long, batch_size=4)).view(-1, 2)
    ratios = logps - torch.tensor([[pair.ref_chosen_logps, pair.ref_rejected_logps] for pair in pairs])
    assert ratios.abs().max().item() > 0, "nothing was rounded: the test shows nothing"
    check_first_log_ratios(pairs, ratios, precise=False)
