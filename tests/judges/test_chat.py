"""The chat judge: both orders, ties, malformed verdicts, and replies that are asked for once."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.judges.chat import ChatJudge, ring
from pipeline.judges.loading import load_judge, open_chat_judge
from pipeline.judges.replies import ReplyStore, request_key
from pipeline.judges.rules import ChatRules, read_verdict
from pipeline.models.compute import Compute
from pipeline.params.schema import Params
from tests.judges.fake_endpoint import KEY, Fake, serve
from tests.passages import ended
from tests.ranks import as_ranks
from tests.tiny_models import changed

Messages = list[dict[str, str]]
MakeJudge = Callable[..., ChatJudge]
_SHOWN = re.compile(r"\[Response A\]\n(.*)\n\[End of response A\]\n\n\[Response B\]\n(.*)\n\[End", re.DOTALL)


def shown(messages: Messages) -> tuple[str, str]:
    """The responses in the order of the question."""
    match = _SHOWN.search(messages[0]["content"])
    assert match
    return match[1], match[2]


def stars(messages: Messages) -> str:
    """Prefers more stars, wherever they are."""
    first, second = (text.count("*") for text in shown(messages))
    return "Because. [[A]]" if first > second else "Because. [[B]]" if second > first else "Neither. [[C]]"


@pytest.fixture
def rules(params: Params) -> ChatRules:
    return ChatRules.of(changed(params.judge.chat, max_malformed_share=0.5))


@pytest.fixture
def make_judge(rules: ChatRules, tmp_path: Path) -> MakeJudge:
    """A judge over a store of this test, as every stage opens one."""

    def make(fake: Fake, rules: ChatRules = rules, **settings: Any) -> ChatJudge:
        return open_chat_judge(rules, endpoint=fake.settings(**settings), store=tmp_path / "verdicts")

    return make


def test_the_first_of_several_processes_asks_for_all(
    rules: ChatRules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    responses = ended(["**", "*", "x", "same"]), ended(["*", "**", "y", "same"])

    def compared(judge: ChatJudge) -> list[object]:
        return [judge.compare(["P"] * 4, *responses).tolist(), judge.counts(), judge.verdicts()]

    with serve(Fake(stars)) as fake:
        alone = compared(open_chat_judge(rules, endpoint=fake.settings(), store=tmp_path / "alone"))
        requests = len(fake.requests)
        # the others could not reach it
        ways = [fake.settings(), *[fake.settings(base_url="http://127.0.0.1:9/v1", max_retries=0)] * 2]
        judges = [open_chat_judge(rules, endpoint=way, store=tmp_path / f"{i}") for i, way in enumerate(ways)]
        assert as_ranks(monkeypatch, 3, lambda rank: compared(judges[rank])) == [alone] * 3
        assert len(fake.requests) == 2 * requests > 0
    assert not (tmp_path / "1").exists()


def test_a_preference_holds_in_both_orders(make_judge: MakeJudge) -> None:
    with serve(Fake(stars)) as fake:
        judge = make_judge(fake)
        found = judge.compare(["P"] * 4, ended(["**", "*", "x", "same"]), ended(["*", "**", "y", "same"]))
    assert found.tolist() == [1.0, 0.0, 0.5, 0.5]
    # the first two comparisons are the same two games
    asked = sorted(shown(request["messages"]) for request in fake.requests)
    assert asked == [("*", "**"), ("**", "*"), ("x", "y"), ("y", "x")]
    counts = judge.counts()
    assert (counts["compared"], counts["decided"], counts["tied"], counts["identical"]) == (4, 2, 1, 1)
    assert counts["position_bias"] == 0.0


@pytest.mark.parametrize(
    ("answer", "outcome", "bias"),
    [("[[A]]", "both_first", 1.0), ("[[B]]", "both_second", -1.0)],
)
def test_a_model_that_always_takes_one_place_gives_ties(
    make_judge: MakeJudge, answer: str, outcome: str, bias: float
) -> None:
    with serve(Fake(lambda messages: answer)) as fake:
        judge = make_judge(fake)
        assert judge.compare(["P", "Q"], ended(["a", "b"]), ended(["c", "d"])).tolist() == [0.5, 0.5]
    assert judge.counts()[outcome] == 2
    assert judge.counts()["position_bias"] == bias


def test_a_tie_in_one_order_is_a_tie(make_judge: MakeJudge) -> None:
    with serve(Fake(lambda messages: "[[A]]" if shown(messages)[0] == "a" else "[[C]]")) as fake:
        judge = make_judge(fake)
        assert judge.compare(["P"], ended(["a"]), ended(["b"])).tolist() == [0.5]
    assert judge.counts()["half_tied"] == 1


def test_a_reply_without_verdict_is_followed_by_a_reminder(make_judge: MakeJudge, rules: ChatRules) -> None:
    with serve(Fake(lambda messages: "I like both" if len(messages) == 1 else stars(messages))) as fake:
        assert make_judge(fake).compare(["P"], ended(["**"]), ended(["*"])).tolist() == [1.0]
    conversation = max((request["messages"] for request in fake.requests), key=len)
    assert [message["role"] for message in conversation] == ["user", "assistant", "user"]
    assert [message["content"] for message in conversation[1:]] == ["I like both", rules.reminder]
    assert len(fake.requests) == 4


def test_a_model_that_never_decides_is_malformed_and_no_tie(make_judge: MakeJudge) -> None:
    def undecided(messages: Messages) -> str:
        return "hm" if "odd" in shown(messages) else stars(messages)

    with serve(Fake(undecided)) as fake:
        judge = make_judge(fake)
        found = judge.compare(["P", "P"], ended(["odd", "**"]), ended(["x", "*"]))
        assert np.isnan(found[0]) and found[1] == 1.0
        assert judge.counts()["malformed"] == 1 and judge.counts()["decided"] == 1
        assert sum("odd" in shown(request["messages"]) for request in fake.requests) == 6  # max_asks in each order
        assert judge.verdicts()[0]["preference"] is None
        with pytest.raises(PipelineError, match=r"2 of 2 comparisons have no verdict.*'hm'"):
            judge.compare(["P", "Q"], ended(["odd", "odd"]), ended(["x", "z"]))


def test_samples_are_ranked_by_their_mean_preference(make_judge: MakeJudge) -> None:
    with serve(Fake(stars)) as fake:
        found = make_judge(fake).rank(["P", "Q"], [ended(["*", "***", "**"]), ended(["a", "*", "a"])])
    assert found.tolist() == [[0.0, 1.0, 0.5], [0.25, 1.0, 0.25]]
    assert len(fake.requests) == 6 + 2  # the second and the first "a" are one


def test_malformed_comparisons_do_not_count_in_a_rank(make_judge: MakeJudge) -> None:
    def picky(messages: Messages) -> str:
        return "hm" if set(shown(messages)) == {"*", "***"} else stars(messages)

    with serve(Fake(picky)) as fake:
        assert make_judge(fake).rank(["P"], [ended(["*", "***", "**"])]).tolist() == [[0.0, 1.0, 0.5]]


@pytest.mark.parametrize(
    ("copies", "opponents", "expected"),
    [
        (4, None, [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]),
        (4, 1, [(0, 1), (0, 3), (1, 2), (2, 3)]),
        (4, 9, [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]),
        (2, 1, [(0, 1)]),
        (5, 1, [(0, 1), (0, 4), (1, 2), (2, 3), (3, 4)]),
    ],
)
def test_who_meets_whom(copies: int, opponents: int | None, expected: list[tuple[int, int]]) -> None:
    assert sorted(ring(copies, opponents)) == expected


def test_a_second_run_asks_nothing_wherever_the_model_is(make_judge: MakeJudge) -> None:
    pairs = (["P"] * 3, ended(["*", "**", "a"]), ended(["**", "a", "b"]))
    with serve(Fake(stars)) as fake:
        judge = make_judge(fake)
        first = judge.compare(*pairs)
        assert len(fake.requests) == 6
        judge.compare(*pairs)
        assert len(fake.requests) == 6
    # the server is gone, and another address would be asked
    again = make_judge(fake, base_url="http://127.0.0.1:9/v1", max_retries=0)
    assert np.array_equal(again.compare(*pairs), first)
    assert again.verdicts() == judge.verdicts() and again.counts() == judge.counts()


def test_another_rubric_model_or_field_asks_again(make_judge: MakeJudge, rules: ChatRules, params: Params) -> None:
    settings = params.judge.chat
    with serve(Fake(stars)) as fake:
        for other in (
            settings,
            changed(settings, rubric="Prefer stars."),
            changed(settings, model="other"),
            changed(settings, request={"temperature": 0.5}),
            changed(settings, max_asks=9),  # the same requests
        ):
            make_judge(fake, ChatRules.of(other)).compare(["P"], ended(["*"]), ended(["**"]))
    assert len(fake.requests) == 4 * 2
    assert "Prefer stars." in fake.requests[2]["messages"][0]["content"]


def test_a_server_that_dies_and_comes_back_loses_nothing(make_judge: MakeJudge, tmp_path: Path) -> None:
    firsts = [f"{'*' * (number % 3)} {number}" for number in range(12)]
    pairs = (["P"] * 12, ended(firsts), ended(["*"] * 12))
    fake = Fake(stars)
    fake.dies_after = 9
    with serve(fake), pytest.raises(PipelineError, match=r"failed 2 times.*run `dvc repro` again"):
        make_judge(fake, max_retries=1).compare(*pairs)
    stored = (tmp_path / "verdicts/replies.jsonl").read_text().splitlines()
    assert len(stored) == 9 == sum(fake.answered.values())
    fake.dies_after = None
    with serve(fake):
        found = make_judge(fake).compare(*pairs)
    assert found.tolist() == [[0.0, 0.5, 1.0][number % 3] for number in range(12)]
    assert len(fake.answered) == 24 and set(fake.answered.values()) == {1}


def test_equal_comparisons_at_once_are_asked_once(make_judge: MakeJudge) -> None:
    with serve(Fake(stars)) as fake:
        found = make_judge(fake, concurrency=8).compare(["P"] * 20, ended(["*"] * 20), ended(["**"] * 20))
    assert found.tolist() == [0.0] * 20 and len(fake.requests) == 2


def test_the_key_is_in_no_file(make_judge: MakeJudge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_TEST_KEY", KEY)
    with serve(Fake(lambda messages: f"{KEY} [[A]]")) as fake:
        judge = make_judge(fake)
        judge.compare(["P"], ended(["a"]), ended(["b"]))
    assert fake.headers[0] == f"Bearer {KEY}"
    assert KEY not in json.dumps(judge.verdicts())
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_half_written_reply_is_asked_again_and_the_others_are_kept(tmp_path: Path) -> None:
    requests = [{"model": "m", "messages": [{"role": "user", "content": str(number)}]} for number in range(3)]
    store = ReplyStore(tmp_path)
    for request in requests[:2]:
        store.add(request, "ok")
    store.path.write_bytes(store.path.read_bytes()[:-9])
    again = ReplyStore(tmp_path)
    assert [again.get(request) for request in requests] == ["ok", None, None]
    again.add(requests[2], "late")
    assert [ReplyStore(tmp_path).get(request) for request in requests] == ["ok", None, "late"]


def test_a_key_is_that_of_the_content(rules: ChatRules) -> None:
    request = {"model": "m", "messages": rules.messages("P", "a", "b"), "temperature": 0}
    assert request_key(request) == request_key(dict(reversed(request.items())))
    assert request_key(request) != request_key(request | {"messages": rules.messages("P", "b", "a")})


def test_texts_cannot_fill_the_places_of_others(rules: ChatRules) -> None:
    question = rules.messages("{first}", "{second} {rubric}", "{prompt}")[0]["content"]
    assert "[Prompt]\n{first}\n" in question
    assert "[Response A]\n{second} {rubric}\n" in question
    assert "[Response B]\n{prompt}\n" in question
    assert rules.rubric in question


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("[[A]]", "A"), ("It says [[A]], but\n[[B]]", "B"), ("[[C]]\n", "C"), ("A", None), ("[[D]]", None), ("", None),
        ("[[A", None), ("[[A]] is better than [[B]].", None), ("[[A]], [[B]] or [[C]]?", None),
        ("[[A]] it is.\nNot [[B]], I mean.", None), ("[[B]] reads well.\nVerdict: **[[A]]**\n", "A"),
        ("[[A]] [[A]]", "A"),
    ],
)  # fmt: skip
def test_verdicts(reply: str, verdict: str | None) -> None:
    assert read_verdict(reply) == verdict


def test_an_unknown_prompt_is_named_with_those_there_are(params: Params) -> None:
    with pytest.raises(PipelineError, match=r"'pairwise-v9'.*pairwise-v1"):
        ChatRules.of(changed(params.judge.chat, prompt="pairwise-v9"))


def test_a_stage_loads_what_another_wrote(
    rules: ChatRules, tmp_path: Path, compute: Compute, make_judge: MakeJudge
) -> None:
    rules.save(tmp_path / "judge")
    assert ChatRules.load(tmp_path / "judge") == rules
    assert "127.0.0.1" not in (tmp_path / "judge/judge.json").read_text()
    with serve(Fake(stars)) as fake:
        judge = load_judge(tmp_path / "judge", compute, endpoint=fake.settings(), store=tmp_path / "verdicts")
        assert judge.rate(["P", "P"], ended(["**", "a"]), ended(["*", "a"])).tolist() == [1.0, 0.5]
        make_judge(fake).compare(["P"], ended(["**"]), ended(["*"]))
    assert len(fake.requests) == 2
