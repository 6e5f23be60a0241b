"""Replies of a chat model on disk, so that no request that was answered is ever sent again."""

import hashlib
import json
import os
from pathlib import Path
from threading import Lock

from pipeline.judges.rules import ChatRequest
from pipeline.locks import wait_for_lock


class ReplyStore:
    """An append-only file of JSON Lines, each a request with its key and its reply.

    A reply is on the disk before it is used. Several processes may share the file, such as those of queued experiments:
    each finds the replies that the others have paid for.
    """

    def __init__(self, folder: Path) -> None:
        """Read the replies that are there; a line that a killed process left half-written is skipped."""
        self.path = folder / "replies.jsonl"
        self._lock = Lock()
        self._replies: dict[str, str] = {}
        self._read_to = 0
        self._refresh()

    def get(self, request: ChatRequest) -> str | None:
        """The reply to exactly this request; None if there is none yet."""
        key = request_key(request)
        with self._lock:
            if key not in self._replies:
                self._refresh()
            return self._replies.get(key)

    def add(self, request: ChatRequest, reply: str) -> None:
        """Store a reply; when this returns, it survives a crash of the machine.

        Raises:
            OSError: the disk is full or not writable.
        """
        key = request_key(request)
        line = json.dumps({"key": key, "request": request, "reply": reply}, sort_keys=True).encode() + b"\n"
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with wait_for_lock(self.path), self.path.open("a+b") as stream:
                _append(stream.fileno(), line)
                os.fsync(stream.fileno())
            self._replies[key] = reply

    def _refresh(self) -> None:
        """Read the complete lines that this or another process has appended since the last time."""
        if not self.path.exists() or self.path.stat().st_size <= self._read_to:
            return
        with self.path.open("rb") as stream:
            stream.seek(self._read_to)
            content = stream.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.splitlines():
            self._read(line)

    def _read(self, line: bytes) -> None:
        try:
            row = json.loads(line)
            self._replies[row["key"]] = row["reply"]
        except (ValueError, KeyError, TypeError):
            return


def _append(descriptor: int, line: bytes) -> None:
    """Append a line whole or not at all; after a half-written line a new one is begun."""
    size = os.fstat(descriptor).st_size
    unfinished = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    content = b"\n" + line if unfinished else line
    try:
        written = os.write(descriptor, content)
        while written < len(content):
            written += os.write(descriptor, content[written:])
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def request_key(request: ChatRequest) -> str:
    """sha256 of model, sampling fields and the exact messages; it does not depend on where the model runs."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
