"""The optimize section: keys that do not fit together are refused, because an ignored key is an untested idea."""

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from pipeline.objectives.preference import DPO_LOSSES
from pipeline.params.optimize import Dpo
from pipeline.params.schema import Params
from tests.tiny_models import FULL, changed


def test_every_dpo_loss_can_be_chosen() -> None:
    assert get_args(Dpo.model_fields["loss"].annotation) == DPO_LOSSES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "ipo", "label_smoothing": 0.1}, "loss ipo has no label_smoothing"),
        ({"simpo_gamma": 0.5}, "loss sigmoid has no simpo_gamma"),
        ({"reference": "adapter_off", "finetuning": FULL.model_dump()}, "needs finetuning.method lora"),
        ({"reference_sync_steps": 10}, "needs reference frozen_copy and finetuning.method full"),
    ],
)
def test_keys_of_dpo_that_nothing_would_read_are_refused(params: Params, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        changed(params.optimize.dpo, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"advantage_estimator": "rloo"}, "rloo needs 2 or more samples_per_prompt"),
        ({"samples_per_prompt": 3}, "multiple of samples_per_prompt"),
        ({"critic_warmup_iterations": 10}, "fewer than the 10 iterations"),
        (
            {"advantage_estimator": "group", "samples_per_prompt": 2, "critic_warmup_iterations": 1},
            "group has no critic to warm up",
        ),
    ],
)
def test_keys_of_ppo_that_do_not_fit_together_are_refused(
    params: Params, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        changed(params.optimize.ppo, **changes)
