"""Replies of a chat model on disk: what was once answered is never asked again."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any


class ReplyStore:
    """An append-only file of JSON Lines, each a request, its key and the reply; on the disk before it is used."""

    def __init__(self, folder: Path) -> None:
        """Read what is there; a line that a killed process left half-written is skipped."""
        self.path = folder / "replies.jsonl"
        self._lock = Lock()
        self._replies: dict[str, str] = {}
        content = self.path.read_bytes() if self.path.exists() else b""
        self._unfinished = bool(content) and not content.endswith(b"\n")
        for line in content.splitlines():
            self._read(line)

    def _read(self, line: bytes) -> None:
        try:
            row = json.loads(line)
            self._replies[row["key"]] = row["reply"]
        except (ValueError, KeyError, TypeError):
            return

    def get(self, request: Mapping[str, Any]) -> str | None:
        """The reply to exactly this request, None when it was not asked yet."""
        return self._replies.get(request_key(request))

    def add(self, request: Mapping[str, Any], reply: str) -> None:
        """Keep a reply; it survives a crash of the machine from here on.

        Raises:
            OSError: the disk is full or not writable.
        """
        key = request_key(request)
        line = json.dumps({"key": key, "request": request, "reply": reply}, sort_keys=True) + "\n"
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as stream:
                stream.write((b"\n" if self._unfinished else b"") + line.encode())
                stream.flush()
                os.fsync(stream.fileno())
            self._unfinished = False
            self._replies[key] = reply


def request_key(request: Mapping[str, Any]) -> str:
    """sha256 of model, sampling fields and the exact messages; where the model runs is no part of it."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
