"""Requests to a server of OpenAI's interface. No other module reads a key or imports the openai package.

The retries are this module's, not the client's (openai 3.54). The client does not retry status 425, nor answers of
status 200 that are cut short or no JSON, as proxies in front of a busy server give them. It gives up where the server
asks for more than two minutes, lets all threads go on but the one that was told to wait, and its sleep cannot be ended.
"""

import os
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.endpoints.rate_limit import RateLimiter, backoff_seconds, retry_after_seconds
from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.params.endpoint import EndpointSettings

if TYPE_CHECKING:
    from openai import OpenAI

_RETRIED = (408, 409, 425, 429)
"""Status codes after which the same request may succeed later; it also may after any code from 500 on."""
_LONGEST_PAUSE = 900.0
"""The longest wait in seconds. If a server asks for more, as at a daily limit, the stage fails."""

AnswerT = TypeVar("AnswerT")


class Refused(Exception):
    """The server answers this request with an error, and would again; `text` is what it says, without the key."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class _TryLater(Exception):
    """A failure after which the request may succeed later; `after` is how many seconds the server asks to wait."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Endpoint:
    """Sends requests from any number of threads, each again after a failure that may pass."""

    def __init__(
        self, settings: EndpointSettings, *, section: str, kept: str, requests_per_minute: int | None = None
    ) -> None:
        """Read the key; nothing is sent yet.

        Args:
            settings: where the server is.
            section: of params.yaml, which has the settings.
            kept: a sentence on what is not lost when the stage fails here.
            requests_per_minute: None is no limit.
        """
        self._settings = settings
        self._section = section
        self._kept = kept
        self._key = _read_key(settings.key_variable)
        self._limiter = RateLimiter(requests_per_minute)

    def ask(
        self,
        path: str,
        body: Mapping[str, Any] | None,
        read: Callable[[Any], AnswerT],
        *,
        final: Collection[int] = (),
    ) -> AnswerT:
        """What `read` makes of the answer.

        Args:
            path: below the address, with its slash.
            body: sent by POST; None is a GET.
            read: takes the JSON, or the text of an answer that is none; what it raises of ValueError, LookupError,
                TypeError and AttributeError is an answer that was cut short, and the request is sent again.
            final: statuses that are no reason to try again here.

        Raises:
            Refused: the server refuses the request.
            PipelineError: it still fails after all retries, or asks to wait too long.
            Stopped: `stop` was called, because a request of another thread failed for good.
        """
        tries = self._settings.max_retries + 1
        reason = ""
        for attempt in range(tries):
            self._limiter.wait()
            try:
                return self._send(path, body, read, final)
            except _TryLater as failure:
                reason = self.without_key(str(failure))
                after = failure.after
            if attempt + 1 < tries:
                self._hold_back(attempt, after, reason)
        raise PipelineError(
            f"{self._section}: {self._settings.base_url} failed {tries} times in a row (the last: {reason}). Check "
            f"that the server runs. {self._kept}"
        )

    def refusal(self, refused: Refused, advice: str) -> PipelineError:
        """The error of a request that was refused."""
        return PipelineError(
            f"{self._section}: {self._settings.base_url} refused the request with status {refused.status}: "
            f"{shorten(refused.text)} {self._key_advice(refused.status) or advice} {self._kept}"
        )

    def stop(self) -> None:
        """Make every thread that waits give up with `Stopped`."""
        self._limiter.stop()

    def without_key(self, text: str) -> str:
        """The text without the key: servers quote it in errors, and nothing that is shown or stored may hold it."""
        return text.replace(self._key, "[key]") if self._key else text

    def _key_advice(self, status: int) -> str | None:
        return {
            401: f"Put a valid key into the environment variable {self._settings.key_variable}.",
            403: f"The key in {self._settings.key_variable} may not do this.",
        }.get(status)

    def _hold_back(self, attempt: int, after: float | None, reason: str) -> None:
        """Wait before the next attempt: all threads as long as the server asks, or else this thread alone a while."""
        if after is None:
            self._limiter.sleep(backoff_seconds(attempt, self._settings.first_retry_seconds))
        elif after <= _LONGEST_PAUSE:
            self._limiter.pause(after)
        else:
            raise PipelineError(
                f"{self._section}: {self._settings.base_url} asks to wait {after:.0f} seconds ({reason}). {self._kept}"
            )

    @cached_property
    def _client(self) -> "OpenAI":
        from openai import OpenAI  # takes a second to import, which only those who ask should pay

        # the client insists on a key, which a server without keys ignores
        key = self._key or "none"
        return OpenAI(
            base_url=self._settings.base_url, api_key=key, timeout=self._settings.timeout_seconds, max_retries=0
        )

    def _send(
        self, path: str, body: Mapping[str, Any] | None, read: Callable[[Any], AnswerT], final: Collection[int]
    ) -> AnswerT:
        import openai

        client = self._client
        try:
            answer = client.get(path, cast_to=object) if body is None else client.post(path, cast_to=object, body=body)
            return read(answer)
        except openai.APIStatusError as error:
            status = error.status_code
            if status not in final and (status in _RETRIED or status >= 500):
                after = retry_after_seconds(error.response.headers.get("retry-after"))
                raise _TryLater(f"status {status}", after) from None
            raise Refused(status, self.without_key(str(error))) from None
        except openai.APITimeoutError:
            raise _TryLater(f"no answer within {self._settings.timeout_seconds:g} seconds") from None
        except openai.APIError as error:
            # only the type of the cause: the text of some quotes the headers, and so the key
            cause = f", {type(error.__cause__).__name__}" if error.__cause__ else ""
            raise _TryLater(f"{type(error).__name__}{cause}") from None
        except (ValueError, AttributeError, LookupError, TypeError) as error:
            # the body is cut short, is no JSON, or lacks a part
            raise _TryLater(f"an answer that is not of its form ({type(error).__name__})") from None


def _read_key(variable: str) -> str | None:
    key = os.environ.get(variable, "").strip()
    # refused here, because the error of a key that fits into no HTTP header quotes the key
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise PipelineError(f"the environment variable {variable} holds characters that no key has. Set it again.")
    return key or None
