"""A chat model behind an OpenAI-compatible endpoint. The only module that knows the key, and the openai package."""

import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.excerpts import shorten
from pipeline.judges.pace import Pace, backoff_seconds, retry_after_seconds
from pipeline.params.judge import JudgeEndpoint

if TYPE_CHECKING:
    from openai import OpenAI

_LATER = (408, 409, 425, 429)
"""With all from 500 on, the status codes after which the same request may succeed later."""
_LONGEST_PAUSE = 900.0
"""Seconds; a server that asks for more (a daily limit) fails the stage, whose replies are kept."""
_KEPT = "All replies so far are kept under .state/verdicts: run `dvc repro` again, and it goes on from there."


class _TryLater(Exception):
    """A failure that may pass; `after` is how many seconds the server asks for."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class ChatEndpoint:
    """Answers one request at a time, from any number of threads, and tries again where that can help."""

    def __init__(self, settings: JudgeEndpoint) -> None:
        self._settings = settings
        self._key = _read_key(settings.key_variable)
        self._pace = Pace(settings.requests_per_minute)

    def complete(self, request: Mapping[str, Any]) -> str:
        """The text of the reply.

        Args:
            request: `model`, `messages`, and other fields as they are sent.

        Raises:
            PipelineError: the server refuses the request, or still fails after all retries.
            Stopped: another thread failed for good.
        """
        tries = self._settings.max_retries + 1
        reason = ""
        for attempt in range(tries):
            self._pace.wait()
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
        """Wait as the server asks, all threads together, or else this thread longer each time."""
        if after is None:
            self._pace.sleep(backoff_seconds(attempt, self._settings.first_retry_seconds))
        elif after <= _LONGEST_PAUSE:
            self._pace.pause(after)
        else:
            raise PipelineError(
                f"judge.endpoint: {self._settings.base_url} asks to wait {after:.0f} seconds ({reason}). {_KEPT}"
            )

    def stop(self) -> None:
        """Let all threads end: one failed for good."""
        self._pace.stop()

    @cached_property
    def _client(self) -> "OpenAI":
        from openai import OpenAI  # takes a second to import, which only a chat judge should cost

        # a server without keys ignores what it is sent, and the client insists on one
        key = self._key or "none"
        return OpenAI(
            base_url=self._settings.base_url, api_key=key, timeout=self._settings.timeout_seconds, max_retries=0
        )

    def _send(self, request: Mapping[str, Any]) -> str:
        import openai

        fields = dict(request)
        model, messages = fields.pop("model"), fields.pop("messages")
        try:
            # extra_body: servers know more fields than the client does
            answer: Any = self._client.chat.completions.create(model=model, messages=messages, extra_body=fields)
            return answer.choices[0].message.content or ""
        except openai.APIStatusError as error:
            if error.status_code in _LATER or error.status_code >= 500:
                after = retry_after_seconds(error.response.headers.get("retry-after"))
                raise _TryLater(f"status {error.status_code}", after) from None
            raise self._refusal(error.status_code, str(error), model) from None
        except openai.APITimeoutError:
            raise _TryLater(f"no answer within {self._settings.timeout_seconds:g} seconds") from None
        except openai.APIError as error:
            # the kind of the cause alone: the text of some names the headers
            cause = f", {type(error.__cause__).__name__}" if error.__cause__ else ""
            raise _TryLater(f"{type(error).__name__}{cause}") from None
        except (ValueError, AttributeError, IndexError, TypeError) as error:
            # a body that is cut, no JSON, or has no choices
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
        """Servers quote keys back in errors, and nothing that is shown or stored may hold one."""
        return text.replace(self._key, "[key]") if self._key else text


def _read_key(variable: str) -> str | None:
    key = os.environ.get(variable, "").strip()
    # refused here, because what fails to become a header is quoted in the error of who tried
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise PipelineError(f"the environment variable {variable} holds characters that no key has. Set it again.")
    return key or None
