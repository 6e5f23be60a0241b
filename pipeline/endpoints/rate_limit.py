"""Says when a request may be sent: at a limited rate, and never while the server asks for a pause."""

import random
import time
from email.utils import parsedate_to_datetime
from threading import Event, Lock


class Stopped(Exception):
    """The request was given up, because the request of another thread failed for good."""


class RateLimiter:
    """Holds the requests of all threads of this process back to a rate, and to the pauses that the server asks for."""

    def __init__(self, requests_per_minute: int | None) -> None:
        self._interval = 60 / requests_per_minute if requests_per_minute else 0.0
        self._next = 0.0
        self._lock = Lock()
        self._stop = Event()

    def wait(self) -> None:
        """Sleep until the next request may be sent, which is then this thread's.

        Raises:
            Stopped: `stop` was called.
        """
        with self._lock:
            at = max(time.monotonic(), self._next)
            self._next = at + self._interval
        self.sleep(at - time.monotonic())

    def pause(self, seconds: float) -> None:
        """Let no thread send a request for so many seconds."""
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
        """End every wait and sleep, those that are under way and all later ones."""
        self._stop.set()


def backoff_seconds(attempt: int, first: float, longest: float = 60.0) -> float:
    """How long to wait after a failed attempt (counted from 0): `first` seconds, doubled each time, with jitter.

    Jitter, because clients that failed in the same moment would otherwise come back in the same moment.
    """
    return min(longest, first * 2**attempt) * random.uniform(0.5, 1.0)


def retry_after_seconds(header: str | None) -> float | None:
    """The seconds that a Retry-After header asks for, as a number or a date; None without a header that can be read."""
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
