"""When requests may be sent: waits, their ends, and what a server asks for."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pipeline.endpoints.rate_limit import RateLimiter, Stopped, backoff_seconds, retry_after_seconds


def test_a_stop_ends_waits() -> None:
    limiter = RateLimiter(None)
    limiter.pause(60)
    limiter.stop()
    with pytest.raises(Stopped):
        limiter.wait()


def test_waits_double_up_to_a_limit_and_are_jittered() -> None:
    for attempt, longest in enumerate([0.5, 1.0, 2.0, 3.0, 3.0]):
        waits = {backoff_seconds(attempt, 0.5, longest=3.0) for _ in range(50)}
        assert longest / 2 <= min(waits) and max(waits) <= longest
        assert len(waits) > 1


def test_retry_after_in_each_form() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert retry_after_seconds("12.5") == 12.5
    assert retry_after_seconds(date) == pytest.approx(90, abs=2)
    assert retry_after_seconds("-3") == 0.0
    assert retry_after_seconds("soon") is None and retry_after_seconds(None) is None
