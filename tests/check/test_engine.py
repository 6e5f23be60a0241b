"""A server that samples: there or not, before anything is fetched."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.check.conftest import pairs
from tests.check.reading_findings import said
from tests.engines.stand_in import StandIn, serving


def test_a_server_that_is_not_there_is_a_warning_with_the_command(project: SimpleNamespace) -> None:
    """Before the first run there is no model that it could serve; 16 of SFT and 16 of a method are 32."""
    project.write(pairs(300))
    findings = project.check(sampling__engine="vllm", engine__base_url="http://127.0.0.1:1/v1")
    text = said(findings)["engine.base_url"]
    assert "no server answers at http://127.0.0.1:1/v1" in text and findings.errors == []
    assert "vllm serve artifacts/models/policy --enable-lora --max-lora-rank 32 --logprobs-mode processed_log" in text
    assert "engine.base_url" not in said(project.check(sampling__engine="own"))


@pytest.mark.parametrize(("length", "errors"), [(128, 0), (24, 1)])
def test_a_server_that_is_there_is_asked_how_long_a_text_may_be(
    project: SimpleNamespace, models: Path, length: int, errors: int
) -> None:
    project.write(pairs(300))
    with serving(StandIn(models / "policy", max_model_len=length)) as server:
        findings = project.check(sampling__engine="vllm", engine__base_url=f"http://127.0.0.1:{server.port}/v1")
    assert len([one for one in findings.errors if one.key == "sampling.max_new_tokens"]) == errors
    assert "engine.base_url" not in said(findings)


def test_a_policy_that_is_trained_in_full_cannot_be_handed_over(project: SimpleNamespace) -> None:
    project.write(pairs(300))
    with pytest.raises(Exception, match=r"optimize.ppo is trained in full.*lora, or sampling.engine to own"):
        project.check(sampling__engine="vllm", optimize__ppo__finetuning__method="full")
