"""A record, prompt, sample or pair leads to its raw rows, and what it was to each model is said apart."""

from collections.abc import Callable

import pytest

from pipeline.errors import PipelineError
from pipeline.lineage.raw import RawSources
from pipeline.lineage.record import Origin, Trace, trace_record
from pipeline.lineage.record_text import describe, describe_findings
from pipeline.lineage.search import find_text
from pipeline.lineage.source_files import SourceFiles
from tests.lineage.conftest import EVALUATED, LABELLED, PAIR, PROMPT, RAW, REFUSED, TESTED, TEXT, Project

Tracer = Callable[[str], Trace]
DPO, SELECTED = "artifacts/training/dpo/seed-0", "artifacts/policies/dpo/seed-0"


@pytest.fixture
def raw(rlhf: Project) -> RawSources:
    return RawSources(SourceFiles(rlhf.lock(), rlhf.contents()))


@pytest.fixture
def trace(rlhf: Project, raw: RawSources) -> Tracer:
    return lambda identity: trace_record(identity, rlhf.lock(), rlhf.contents(), raw)


def by_role(trace: Trace) -> dict[str, set[str]]:
    return {
        role: {model for model, roles in trace.checkpoints.items() if role in roles}
        for role in ("trained on", "measured on", "downstream of")
    }


def test_a_pair_was_trained_on_by_the_reward_model_and_dpo_alone(trace: Tracer) -> None:
    found = by_role(trace(PAIR))
    assert found["trained on"] == {"artifacts/reward_model", DPO, SELECTED}
    assert found["measured on"] == set()
    assert found["downstream of"] == {"artifacts/training/hybrid/seed-0"}


def test_a_test_pair_was_measured_on_and_trained_nothing(trace: Tracer) -> None:
    found = by_role(trace(TESTED))
    assert found == {"trained on": set(), "measured on": {"artifacts/reward_model"}, "downstream of": set()}


def test_a_refused_pair_says_why_and_went_into_nothing(trace: Tracer) -> None:
    refused = trace(REFUSED)
    assert refused.quarantined == "too_long" and refused.checkpoints == {}
    assert "quarantined for too_long" in describe(refused) and "went into nothing" in describe(refused)


def test_a_text_of_sft_is_behind_dpo_but_dpo_was_not_trained_on_it(trace: Tracer) -> None:
    found = by_role(trace(TEXT))
    assert found["trained on"] == {"artifacts/sft"}
    assert {DPO, SELECTED, "artifacts/reward_model"} <= found["downstream of"]


def test_an_evaluation_prompt_was_measured_on_only(trace: Tracer) -> None:
    found = by_role(trace(EVALUATED))
    assert found == {"trained on": set(), "measured on": {SELECTED}, "downstream of": set()}


def test_a_label_fits_the_judges(trace: Tracer) -> None:
    assert by_role(trace(LABELLED))["trained on"] == {"artifacts/judge", "artifacts/evaluation_judge"}


def test_a_prompt_leads_to_its_pairs_and_hybrid_reads_the_rows_of_its_own_seed(trace: Tracer) -> None:
    found = trace(PROMPT)
    assert found.files["artifacts/preferences/raw.jsonl"] == 3
    # only seed 1 has the prompt: what seed 0 trained on is another folder
    assert "trained on" not in found.checkpoints["artifacts/training/hybrid/seed-0"]
    assert by_role(found)["measured on"] == {SELECTED, "artifacts/reward_model"}


@pytest.mark.parametrize(("identity", "row"), [(PAIR, 3), (PROMPT, 3), (EVALUATED, 4), (LABELLED, 1)])
def test_every_kind_of_id_leads_to_its_raw_row_with_its_text(trace: Tracer, identity: str, row: int) -> None:
    (origin,) = trace(identity).origins
    assert (origin.source, origin.row) == (RAW, row)
    assert origin.text is not None and origin.text.startswith(f"row {row} says")
    shown = describe(trace(identity))
    assert f"{RAW} raw row {row}: " in shown and f'"row {row} says Why? xxx' in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 100 and "…" in shown, "a long text is shortened"


def test_data_cannot_steer_the_terminal(rlhf: Project, raw: RawSources) -> None:
    shown = describe(Trace("a" * 16, texts={"prompt": "red \x1b[31m and \x14"}))
    assert "\\x1b[31m and \\x14" in shown and "\x1b" not in shown


def test_an_id_is_found_as_it_was_pasted(trace: Tracer) -> None:
    assert trace(f" {PAIR.upper()}\n").origins or trace(f" {PAIR.upper()}\n").files


def test_an_unknown_id_is_an_error_that_says_how_to_find_one(trace: Tracer) -> None:
    with pytest.raises(PipelineError, match="audit --find TEXT"):
        trace("0123456789abcdef")


def test_a_judge_or_reward_model_that_was_bought_was_trained_on_nothing(rlhf: Project, raw: RawSources) -> None:
    rlhf.entries["fit_judge"]["params"] = {"params.yaml": {"judge": {"kind": "chat"}}}
    rlhf.entries["train_reward"]["params"] = {"params.yaml": {"models": {"reward_backbone": {"is_reward_model": True}}}}
    lock = rlhf.lock()
    assert not by_role(trace_record(LABELLED, lock, rlhf.contents(), raw))["trained on"]
    assert "artifacts/reward_model" not in by_role(trace_record(PAIR, lock, rlhf.contents(), raw))["trained on"]


def test_what_is_in_no_cache_is_named(rlhf: Project, raw: RawSources) -> None:
    lock = rlhf.lock()
    rlhf.cached(rlhf.entries["collect_preferences"]["outs"][0]["md5"]).unlink()
    (rlhf.root / "artifacts/preferences/raw.jsonl").unlink()
    trace = trace_record(PAIR, lock, rlhf.contents(), raw)
    assert trace.missing == ["artifacts/preferences/raw.jsonl is neither here nor in the DVC cache"]


def test_a_sentence_is_found_in_raw_rows_pairs_and_samples(rlhf: Project, raw: RawSources) -> None:
    found, counts = find_text("SAYS  why?", rlhf.lock(), rlhf.contents(), raw, limit=2)
    assert counts == {RAW: 5}, "whatever the case and the white space"
    assert [(hit.row, hit.id, hit.fate) for hit in found] == [
        (1, LABELLED, "used.judge"), (2, TEXT, "used.sft"),
    ]  # fmt: skip
    shown = describe_findings(found, counts, {})
    assert "5 hits" in shown and "3 more" in shown and f"{RAW} row 1" in shown
    found, counts = find_text("nobody.", rlhf.lock(), rlhf.contents(), raw, limit=9)
    assert [(hit.path, hit.id) for hit in found] == [("reports/policies/dpo/seed-0/samples.jsonl", EVALUATED)]
    found, _ = find_text("row 5", rlhf.lock(), rlhf.contents(), raw, limit=9)
    assert [(hit.id, hit.fate) for hit in found] == [(None, "dropped.empty_text")]
    assert find_text(PAIR, rlhf.lock(), rlhf.contents(), raw, limit=9) == ([], {}), "an id is no text"


def test_the_cause_of_a_fate_is_told_in_one_line_that_steers_no_terminal() -> None:
    seen = "80% of its words are\n\x1b[31min record 00000000000000ff of train"
    shown = describe(Trace("0" * 16, origins=[Origin(RAW, 4, "dropped.near_duplicate_across_splits", "Why?", seen)]))
    said = " ".join(shown.split())
    assert (
        "near_duplicate_across_splits (80% of its words are" in said and "in record 00000000000000ff of train)" in said
    )
    assert "\x1b" not in shown
