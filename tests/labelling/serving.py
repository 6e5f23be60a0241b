"""A labelling page in a process of its own, and requests to it."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.conftest import ROOT

ITEMS = [
    {
        "id": f"item{number}",
        "prompt": f"Prompt {number}:",
        "chosen": f" good {number}",
        "rejected": f" bad {number}",
        "chosen_ended": False,
        "rejected_ended": True,
    }
    for number in range(8)
]


def write_items(path: Path, rows: list[dict[str, Any]] = ITEMS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def request(
    url: str, path: str, body: Any = None, *, method: str = "", headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Status and content of a reply; a body is sent as the page sends it, except for `headers`."""
    address = urlsplit(url).netloc
    sent = {"Host": address}
    if body is not None:
        sent |= {"Origin": f"http://{address}", "Content-Type": "application/json"}
    sent = {name: value for name, value in (sent | (headers or {})).items() if value}
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.putrequest(method or ("GET" if body is None else "POST"), path, skip_host=True)
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        if body is not None and "Content-Length" not in sent:
            connection.putheader("Content-Length", str(len(content)))
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(content or None)
        reply = connection.getresponse()
        read = reply.read()
        return reply.status, json.loads(read) if reply.headers.get_content_type() == "application/json" else read
    finally:
        connection.close()


def vote(url: str, item: str, winner: str) -> tuple[int, Any]:
    return request(url, "/votes", {"item": item, "winner": winner})


@dataclass
class Served:
    """A running page."""

    url: str
    process: subprocess.Popen[str]
    said: str
    """Lines before the one with its address."""

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(folder: Path, *arguments: str, port: int = 0, annotator: str = "ann") -> Iterator[Served]:
    """`python -m pipeline.labelling` in a folder, until the end of the block."""
    command = [sys.executable, "-m", "pipeline.labelling", "--annotator", annotator, "--port", str(port), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert process.stdout is not None
        said = ""
        while not (line := process.stdout.readline()).startswith("http"):
            assert line, f"it stopped: {said}"
            said += line
        yield Served(line.split()[0], process, said)
    finally:
        process.kill()
        process.wait()
