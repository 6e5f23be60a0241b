"""A chat model behind an OpenAI-compatible endpoint."""

from typing import Any

from pipeline.endpoints.endpoint import Endpoint, Refused
from pipeline.judges.rules import ChatRequest
from pipeline.params.judge import JudgeEndpoint

_KEPT = "All replies so far are kept under .state/verdicts: run `dvc repro` again, and it goes on from there."


class ChatEndpoint:
    """Sends requests from any number of threads, each again after a failure that may pass."""

    def __init__(self, settings: JudgeEndpoint) -> None:
        self._endpoint = Endpoint(
            settings, section="judge.endpoint", kept=_KEPT, requests_per_minute=settings.requests_per_minute
        )

    def complete(self, request: ChatRequest) -> str:
        """The text of the reply.

        Args:
            request: `model`, `messages`, and other fields as they are sent: servers know more than the client does.

        Raises:
            PipelineError: the server refuses the request, or still fails after all retries.
            Stopped: `stop` was called, because a request of another thread failed for good.
        """
        try:
            return self._endpoint.without_key(self._endpoint.ask("/chat/completions", request, _text))
        except Refused as refused:
            advice = "Check judge.chat, above all the fields of judge.chat.request."
            if refused.status == 404:
                advice = f"Check judge.endpoint.base_url and judge.chat.model ({request['model']!r})."
            raise self._endpoint.refusal(refused, advice) from None

    def stop(self) -> None:
        """Make every thread that waits give up with `Stopped`."""
        self._endpoint.stop()


def _text(answer: Any) -> str:
    return answer["choices"][0]["message"]["content"] or ""
