"""A chat model behind an OpenAI-compatible endpoint. No other module reads the key or imports the openai package.

The retries are this module's, not the client's (openai 3.54). The client does not retry status 425, nor answers of
status 200 that are cut short or no JSON, as proxies in front of a busy server give them. It gives up where the server
asks for more than two minutes, lets all threads go on but the one that was told to wait, and its sleep cannot be ended.
"""

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.judges.rate_limit import RateLimiter, backoff_seconds, retry_after_seconds
from pipeline.judges.rules import ChatRequest
from pipeline.params.judge import JudgeEndpoint

if TYPE_CHECKING:
    from openai import OpenAI

_RETRIED = (408, 409, 425, 429)
"""Status codes after which the same request may succeed later; it also may after any code from 500 on."""
_LONGEST_PAUSE = 900.0
"""The longest wait in seconds. If a server asks for more, as at a daily limit, the stage fails; replies are kept."""
_KEPT = "All replies so far are kept under .state/verdicts: run `dvc repro` again, and it goes on from there."


class _TryLater(Exception):
    """A failure after which the request may succeed later; `after` is how many seconds the server asks to wait."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class ChatEndpoint:
    """Sends requests from any number of threads, each again after a failure that may pass."""

    def __init__(self, settings: JudgeEndpoint) -> None:
        self._settings = settings
        self._key = _read_key(settings.key_variable)
        self._limiter = RateLimiter(settings.requests_per_minute)

    def complete(self, request: ChatRequest) -> str:
        """The text of the reply.

        Args:
            request: `model`, `messages`, and other fields as they are sent.

        Raises:
            PipelineError: the server refuses the request, or still fails after all retries.
            Stopped: `stop` was called, because a request of another thread failed for good.
        """
        tries = self._settings.max_retries + 1
        reason = ""
        for attempt in range(tries):
            self._limiter.wait()
            try:
                return self._without_key(self._send(request))
            except _TryLater as failure:
                reason = self._without_key(str(failure))
                after = failure.after
            if attempt + 1 < tries:
                self._hold_back(attempt, after, reason)
        raise PipelineError(
            f"judge.endpoint: {self._settings.base_url} failed {tries} times in a row (the last: {reason}). Check "
            f"that the server runs. {_KEPT}"
        )

    def _hold_back(self, attempt: int, after: float | None, reason: str) -> None:
        """Wait before the next attempt: all threads as long as the server asks, or else this thread alone a while."""
        if after is None:
            self._limiter.sleep(backoff_seconds(attempt, self._settings.first_retry_seconds))
        elif after <= _LONGEST_PAUSE:
            self._limiter.pause(after)
        else:
            raise PipelineError(
                f"judge.endpoint: {self._settings.base_url} asks to wait {after:.0f} seconds ({reason}). {_KEPT}"
            )

    def stop(self) -> None:
        """Make every thread that waits give up with `Stopped`."""
        self._limiter.stop()

    @cached_property
    def _client(self) -> "OpenAI":
        from openai import OpenAI  # takes a second to import, which only a chat judge should cost

        # the client insists on a key, which a server without keys ignores
        key = self._key or "none"
        return OpenAI(
            base_url=self._settings.base_url, api_key=key, timeout=self._settings.timeout_seconds, max_retries=0
        )

    def _send(self, request: ChatRequest) -> str:
        import openai

        fields = dict(request)
        model, messages = fields.pop("model"), fields.pop("messages")
        try:
            # extra_body: servers know more fields than the client does
            answer: Any = self._client.chat.completions.create(model=model, messages=messages, extra_body=fields)
            return answer.choices[0].message.content or ""
        except openai.APIStatusError as error:
            if error.status_code in _RETRIED or error.status_code >= 500:
                after = retry_after_seconds(error.response.headers.get("retry-after"))
                raise _TryLater(f"status {error.status_code}", after) from None
            raise self._refusal(error.status_code, str(error), model) from None
        except openai.APITimeoutError:
            raise _TryLater(f"no answer within {self._settings.timeout_seconds:g} seconds") from None
        except openai.APIError as error:
            # only the type of the cause: the text of some quotes the headers, and so the key
            cause = f", {type(error.__cause__).__name__}" if error.__cause__ else ""
            raise _TryLater(f"{type(error).__name__}{cause}") from None
        except (ValueError, AttributeError, IndexError, TypeError) as error:
            # the body is cut short, is no JSON, or has no choices
            raise _TryLater(f"an answer that is no chat completion ({type(error).__name__})") from None

    def _refusal(self, status: int, message: str, model: str) -> PipelineError:
        advice = {
            401: f"Put a valid key into the environment variable {self._settings.key_variable}.",
            403: f"The key in {self._settings.key_variable} may not do this.",
            404: f"Check judge.endpoint.base_url and judge.chat.model ({model!r}).",
        }.get(status, "Check judge.chat, above all the fields of judge.chat.request.")
        return PipelineError(
            f"judge.endpoint: {self._settings.base_url} refused the request with status {status}: "
            f"{shorten(self._without_key(message))} {advice} {_KEPT}"
        )

    def _without_key(self, text: str) -> str:
        """The text without the key: servers quote it in errors, and nothing that is shown or stored may hold it."""
        return text.replace(self._key, "[key]") if self._key else text


def _read_key(variable: str) -> str | None:
    key = os.environ.get(variable, "").strip()
    # refused here, because the error of a key that fits into no HTTP header quotes the key
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise PipelineError(f"the environment variable {variable} holds characters that no key has. Set it again.")
    return key or None
