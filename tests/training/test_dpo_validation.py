"""DPO on held-out pairs: loss, accuracy and margin as in training, against the same reference."""

import pytest
import torch

from pipeline.data.tokens import TokenizedExample
from pipeline.models.compute import Compute
from pipeline.models.scoring import response_logps, score_responses
from pipeline.params.base import Finetuning
from pipeline.params.schema import Params
from pipeline.preferences.scored import ScoredPair, TokenizedPair
from pipeline.training.dpo import train_dpo
from tests.conftest import PolicyMaker
from tests.tiny_models import FULL, LORA, changed
from tests.training.recording import Recorder

EXAMPLES = [TokenizedExample([11 + i // 2, 12], [*[40 + i, 41, 42][: 1 + i % 3], 2]) for i in range(16)]


@pytest.mark.parametrize(
    ("reference", "finetuning"), [("cached", LORA), ("adapter_off", LORA), ("frozen_copy", FULL), ("synced", FULL)]
)
def test_validation_measures_what_training_does(
    make_policy: PolicyMaker,
    params: Params,
    compute: Compute,
    reference: str,
    finetuning: Finetuning,
) -> None:
    """Against the reference of training; the pairs bring no log-probs along."""
    logps = score_responses(make_policy(), EXAMPLES, compute, pad_token_id=0, batch_size=4, title="reference")
    pairs = [ScoredPair(str(i), EXAMPLES[i], EXAMPLES[i + 1], logps[i], logps[i + 1]) for i in range(0, 16, 2)]
    settings = changed(
        params.optimize.dpo,
        learning_rate=2e-3,
        warmup_ratio=0.0,
        num_train_epochs=2,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=1,
    )
    synced = reference == "synced"
    kind = {"reference": "frozen_copy", "reference_sync_steps": 1} if synced else {"reference": reference}
    plan = changed(settings, eval_steps=2, finetuning=finetuning.model_dump(), save_steps=0, **kind)
    copied = plan.reference == "frozen_copy"
    policy, copy = make_policy(finetuning), make_policy() if copied else None
    recorder, start = Recorder(), make_policy()
    held_out = [TokenizedPair(pair.id, pair.chosen, pair.rejected) for pair in pairs[5:]]
    train_dpo(policy, pairs[:5], plan, recorder.run(compute), reference=copy, pad_token_id=0, validation=held_out)
    now, then = (
        torch.tensor(
            [
                [response_logps(one, [side], compute, pad_token_id=0).item() for side in (pair.chosen, pair.rejected)]
                for pair in pairs[5:]
            ]
        )
        for one in (policy, copy if synced else start)
    )
    rewards = plan.beta * (now - then)
    margins = rewards[:, 0] - rewards[:, 1]
    last = recorder.rows[-1]
    assert ["validation_loss" in row for row in recorder.rows] == [False, True, False, True]
    assert last["validation_margin"] == pytest.approx(margins.mean().item(), abs=1e-4)
    assert last["validation_loss"] == pytest.approx(torch.log1p(torch.exp(-margins)).mean().item(), abs=1e-4)
    assert last["validation_accuracy"] == pytest.approx((margins > 0).float().mean().item())
    if not synced:
        assert last["validation_margin"] != 0 and recorder.rows[1]["validation_margin"] != last["validation_margin"]
