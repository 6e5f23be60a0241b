"""A loopback server that speaks the chat completions API, and fails as it is told."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from pipeline.params.judge import JudgeEndpoint
from tests.loopback import loopback_server

Answer = Callable[[list[dict[str, str]]], str]
KEY = "sk-very-secret-0123456789"


class Fake:
    """What the server was asked, and how it answers.

    `faults` are used up one a request, before any answer: a status code, `cut` (truncated JSON), `text` (no JSON),
    `empty` (no choices), `hang` (no answer in time) or `drop` (the connection is closed).
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.faults: list[int | str] = []
        self.retry_after: str | None = None
        self.requests: list[dict[str, Any]] = []
        self.answered: Counter[str] = Counter()
        self.headers: list[str | None] = []
        self.times: list[float] = []
        self.dies_after: int | None = None
        self.lock = threading.Lock()
        self.port = 0

    def settings(self, **changes: Any) -> JudgeEndpoint:
        """How to reach it, with short waits."""
        values = {
            "base_url": f"http://127.0.0.1:{self.port}/v1",
            "key_variable": "JUDGE_TEST_KEY",
            "timeout_seconds": 5.0,
            "max_retries": 3,
            "first_retry_seconds": 0.01,
            "requests_per_minute": None,
            "concurrency": 4,
        }
        return JudgeEndpoint.model_validate(values | changes)


@contextmanager
def serve(fake: Fake) -> Iterator[Fake]:
    """Run it on a free port, the one that it had before when it comes back."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with fake.lock:
                fake.requests.append(request)
                fake.times.append(time.monotonic())
                fake.headers.append(self.headers["Authorization"])
                dead = fake.dies_after is not None and sum(fake.answered.values()) >= fake.dies_after
                fault = "drop" if dead else fake.faults.pop(0) if fake.faults else None
                if fault is None:
                    fake.answered[json.dumps(request, sort_keys=True)] += 1
            self._fail(fault) if fault is not None else self._answer(fake.answer(request["messages"]))

        def _answer(self, text: str) -> None:
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            self._send(200, json.dumps({"id": "x", "object": "chat.completion", "choices": [choice]}))

        def _fail(self, fault: int | str) -> None:
            if fault == "drop":
                self.close_connection = True
            elif fault == "hang":
                time.sleep(0.4)
                self.close_connection = True
            elif fault in ("cut", "text", "empty"):
                body = {"cut": '{"choices": [{"mess', "text": "<html>busy</html>", "empty": '{"choices": []}'}[fault]
                self._send(200, body, kind="text/html" if fault == "text" else "application/json")
            else:
                # as some servers do, with the key in the message
                self._send(int(fault), json.dumps({"error": {"message": f"bad key {self.headers['Authorization']}"}}))

        def _send(self, status: int, body: str, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body.encode())))
            if fake.retry_after is not None and status != 200:
                self.send_header("Retry-After", fake.retry_after)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: Any) -> None:
            """Silent."""

    with loopback_server(Handler, port=fake.port) as fake.port:
        yield fake
