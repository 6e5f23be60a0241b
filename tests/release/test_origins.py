"""Where a released model comes from."""

import pytest

from pipeline.errors import PipelineError
from pipeline.release.origins import made_by
from pipeline.results.comparison import ComparedMethod, ComparedPolicy, Comparison
from tests.least_documents import least

COMPARISON = least(Comparison, policies={"sft": least(ComparedPolicy), "dpo": least(ComparedMethod, seed=2)})


def test_of_a_method_it_is_the_seed_that_is_reported() -> None:
    assert made_by("dpo", COMPARISON) == ("artifacts/policies/dpo/seed-2", "select_checkpoint@dpo-2", "optimize.dpo")
    assert made_by("sft", COMPARISON)[0] == "artifacts/sft"


def test_a_method_that_was_not_evaluated_is_named() -> None:
    with pytest.raises(PipelineError, match="no method 'ppo', only sft, dpo"):
        made_by("ppo", COMPARISON)
