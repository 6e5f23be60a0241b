"""When the next request may leave: a rate limit, and pauses that the server asks for, for all threads together."""

import random
import time
from email.utils import parsedate_to_datetime
from threading import Event, Lock


class Stopped(Exception):
    """Another thread failed for good, so this one gives up its wait."""


class Pace:
    """Gives each request its moment."""

    def __init__(self, requests_per_minute: int | None) -> None:
        self._interval = 60 / requests_per_minute if requests_per_minute else 0.0
        self._next = 0.0
        self._lock = Lock()
        self._stop = Event()

    def wait(self) -> None:
        """Sleep until this request's moment.

        Raises:
            Stopped: `stop` was called.
        """
        with self._lock:
            moment = max(time.monotonic(), self._next)
            self._next = moment + self._interval
        self.sleep(moment - time.monotonic())

    def pause(self, seconds: float) -> None:
        """No request leaves for so long."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def sleep(self, seconds: float) -> None:
        """Sleep in this thread alone.

        Raises:
            Stopped: `stop` was called.
        """
        if self._stop.wait(max(0.0, seconds)):
            raise Stopped

    def stop(self) -> None:
        """End every sleep, now and from now on."""
        self._stop.set()


def backoff_seconds(attempt: int, first: float, longest: float = 60.0) -> float:
    """A wait that doubles with each attempt (from 0), with jitter: clients that failed together come back apart."""
    return min(longest, first * 2**attempt) * random.uniform(0.5, 1.0)


def retry_after_seconds(header: str | None) -> float | None:
    """What a Retry-After header asks for, in seconds or as a date; None when there is none that can be read."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None
