"""Whether SFT is run is known before: it is said unasked, and lost turns stop a run that would learn them."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.check.findings import Findings
from pipeline.check.sft import check_sft, is_trained

PAIR = {"id": "1", "prompt": "x", "response": "y", "ended": True, "preferred": True}
LOST = {"id": "2", "prompt": "x", "response": "y", "ended": True, "turns_lost": "the template drops thoughts"}


def found(
    rows: list[dict[str, Any]],
    *,
    skip: Any = "auto",
    turns: str = "last",
    template: str | None = None,
    template_hash: str | None = "hash",
) -> tuple[Any, Any, Findings]:
    policy = SimpleNamespace(chat_template=template)
    settings: Any = SimpleNamespace(models=SimpleNamespace(policy=policy), sft_skip=skip, sft_turns=turns)
    data: Any = SimpleNamespace(
        style=SimpleNamespace(template_hash=template_hash, written=True, end_of_turn=template_hash),
        prepared=SimpleNamespace(texts={"train": rows}),
    )
    findings = Findings()
    check_sft(data, settings, findings)
    return data, settings, findings


def test_a_policy_that_goes_on_as_it_is_unasked_is_said() -> None:
    data, settings, findings = found([PAIR])
    assert not is_trained(data, settings)
    (warning,) = findings.warnings
    assert (warning.key, warning.value) == ("train_sft.skip", "false") and "without SFT" in warning.message
    for skip in (True, False):
        assert found([PAIR], skip=skip)[2] == Findings()
    data, settings, findings = found([PAIR], template="zephyr")  # a base model, which needs SFT
    assert is_trained(data, settings) and findings == Findings()


@pytest.mark.parametrize("turns", ["last", "all"])
def test_turns_that_cannot_be_learned_stop_a_run_that_would_learn_them(turns: str) -> None:
    _, _, findings = found([LOST], turns=turns)
    assert [(one.key, one.value) for one in findings.errors] == (
        [("train_sft.turns", "last")] if turns == "all" else []
    )
    assert found([LOST], turns=turns, skip=True)[2].errors == []


def test_turns_of_a_transcript_that_cannot_be_learned_stop_it_too() -> None:
    asked = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:"
    transcript = {"id": "3", "prompt": asked, "response": " d", "ended": True}
    findings = found([PAIR, transcript], turns="all", template_hash=None)[2]
    assert [(one.key, one.value) for one in findings.errors] == [("train_sft.turns", "last")]
    assert "text 3" in findings.errors[0].message
    assert found([transcript], turns="last", template_hash=None)[2].errors == []
