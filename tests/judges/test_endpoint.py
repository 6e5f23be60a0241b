"""The endpoint: what is tried again and when, what is refused at once, and where the key never is."""

import logging

import pytest

from pipeline.errors import PipelineError
from pipeline.judges.endpoint import ChatEndpoint
from tests.judges.fake_endpoint import KEY, Fake, serve

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "which?"}], "temperature": 0.0, "odd_field": 7}


def test_a_request_holds_the_fields_and_the_key_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_TEST_KEY", KEY)
    with serve(Fake(lambda messages: f"echo {messages[-1]['content']}")) as fake:
        assert ChatEndpoint(fake.settings()).complete(REQUEST) == "echo which?"
    assert fake.requests == [REQUEST]
    assert fake.headers == [f"Bearer {KEY}"]


def test_a_server_of_ones_own_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUDGE_TEST_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)  # not the variable that params.yaml names
    with serve(Fake(lambda messages: "ok")) as fake:
        assert ChatEndpoint(fake.settings()).complete(REQUEST) == "ok"
    assert KEY not in str(fake.headers)


@pytest.mark.parametrize("fault", [429, 500, 503, 408, "cut", "text", "empty", "drop", "hang"])
def test_what_may_pass_is_tried_again(fault: int | str) -> None:
    with serve(Fake(lambda messages: "ok")) as fake:
        fake.faults = [fault, fault]
        assert ChatEndpoint(fake.settings(timeout_seconds=0.2)).complete(REQUEST) == "ok"
    assert len(fake.requests) == 3


@pytest.mark.parametrize(("status", "advice"), [(401, "JUDGE_TEST_KEY"), (404, "judge.chat.model"), (400, "request")])
def test_what_cannot_pass_stops_at_once(status: int, advice: str) -> None:
    with serve(Fake(lambda messages: "ok")) as fake:
        fake.faults = [status]
        with pytest.raises(PipelineError, match=advice):
            ChatEndpoint(fake.settings()).complete(REQUEST)
    assert len(fake.requests) == 1


def test_retries_end(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("JUDGE_TEST_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with serve(Fake(lambda messages: "ok")) as fake:
        fake.faults = [500] * 9
        with pytest.raises(PipelineError, match=r"failed 4 times in a row \(the last: status 500\).*dvc repro"):
            ChatEndpoint(fake.settings()).complete(REQUEST)
    assert len(fake.requests) == 4
    assert KEY not in caplog.text


def test_a_key_that_the_server_quotes_is_in_no_error_log_or_reply(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("JUDGE_TEST_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with serve(Fake(lambda messages: f"[[A]] {KEY}")) as fake:
        assert ChatEndpoint(fake.settings()).complete(REQUEST) == "[[A]] [key]"
        fake.faults = [401]
        with pytest.raises(PipelineError, match=r"bad key Bearer \[key\]") as error:
            ChatEndpoint(fake.settings()).complete(REQUEST)
    # nor in the chain that a traceback would show
    assert error.value.__cause__ is None and error.value.__suppress_context__
    assert KEY not in caplog.text


@pytest.mark.parametrize("key", [f"{KEY}\n{KEY}", f"{KEY} x", f"{KEY}é"])
def test_what_is_no_key_is_refused_without_being_quoted(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("JUDGE_TEST_KEY", key)
    with pytest.raises(PipelineError, match="JUDGE_TEST_KEY") as error:
        ChatEndpoint(Fake(lambda messages: "ok").settings())
    assert KEY not in str(error.value)


def test_a_line_break_after_the_key_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_TEST_KEY", f"{KEY}\n")
    with serve(Fake(lambda messages: "ok")) as fake:
        assert ChatEndpoint(fake.settings()).complete(REQUEST) == "ok"
    assert fake.headers == [f"Bearer {KEY}"]


def test_the_wait_that_a_server_asks_for_holds_for_all_threads() -> None:
    with serve(Fake(lambda messages: "ok")) as fake:
        fake.faults, fake.retry_after = [429], "0.3"
        endpoint = ChatEndpoint(fake.settings())
        assert endpoint.complete(REQUEST) == "ok"
    assert fake.times[1] - fake.times[0] >= 0.29


def test_a_wait_of_hours_stops_the_stage() -> None:
    with serve(Fake(lambda messages: "ok")) as fake:
        fake.faults, fake.retry_after = [429], "7200"
        with pytest.raises(PipelineError, match="asks to wait 7200 seconds"):
            ChatEndpoint(fake.settings()).complete(REQUEST)


def test_requests_leave_at_the_limited_pace() -> None:
    with serve(Fake(lambda messages: "ok")) as fake:
        endpoint = ChatEndpoint(fake.settings(requests_per_minute=600))
        for _ in range(5):
            endpoint.complete(REQUEST)
    # from the second on: the first one also waited for the client to be imported
    assert fake.times[4] - fake.times[1] >= 0.25
