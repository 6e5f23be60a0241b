"""The page answers to this machine's own page only, and survives kill -9 and tabs that write at once."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.labelling.server import LabelServer
from tests.conftest import ROOT
from tests.labelling.conftest import SessionMaker
from tests.labelling.serving import ITEMS, read_lines, request, serving, vote, write_items

VOTE = {"item": "item0", "winner": "a"}


@pytest.fixture
def server(open_session: SessionMaker) -> Iterator[LabelServer]:
    with LabelServer(open_session(), port=0, question="Which?") as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def test_it_listens_on_loopback_only(server: LabelServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    with pytest.raises(PipelineError, match="--port"):
        LabelServer(server.session, port=server.server_address[1], question="")


def test_a_vote_of_the_page_is_taken(server: LabelServer, votes: Path) -> None:
    status, state = request(server.url, "/votes", VOTE)
    assert status == 200 and state["done"] == 1 and state["question"] == "Which?"
    assert request(server.url, "/state") == (200, state)
    assert [line["item"] for line in read_lines(votes)] == ["item0"]
    assert b"<!doctype html>" in request(server.url, "/")[1]


def test_a_tunnel_from_another_port_is_no_other_site(server: LabelServer) -> None:
    headers = {"Host": "localhost:9000", "Origin": "http://localhost:9000"}
    assert request(server.url, "/votes", VOTE, headers=headers)[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:80", "Origin": "http://127.0.0.1.evil.example:80"}, 403),
        ({"Host": "[", "Origin": "http://["}, 403),
        ({"Host": ""}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Length": "99999999"}, 413),
        ({"Content-Length": "-1"}, 411),
    ],
)
def test_a_vote_from_elsewhere_is_refused(
    server: LabelServer, votes: Path, headers: dict[str, str], status: int
) -> None:
    assert request(server.url, "/votes", VOTE, headers=headers)[0] == status
    assert votes.read_text() == ""


@pytest.mark.parametrize("path", ["/", "/state", "/page.js"])
def test_a_foreign_name_reads_nothing(server: LabelServer, path: str) -> None:
    assert request(server.url, path, headers={"Host": "evil.example"})[0] == 403


@pytest.mark.parametrize("path", ["/votes", "/../session.py", "/session.py", "/page.html", "/state?x=1"])
def test_nothing_else_is_served(server: LabelServer, path: str) -> None:
    assert request(server.url, path)[0] == 404


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", {"item": "item0"}, {"item": 0, "winner": "a"}])
def test_a_body_that_is_no_vote_is_refused(server: LabelServer, votes: Path, body: Any) -> None:
    assert request(server.url, "/votes", body)[0] == 400
    assert votes.read_text() == ""


def test_an_unknown_item_says_that_the_items_have_changed(server: LabelServer) -> None:
    status, reply = vote(server.url, "gone", "a")
    assert status == 409 and "Reload" in reply["error"]


def test_a_disk_that_is_full_is_said_and_changes_nothing(
    server: LabelServer, votes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(row: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(server.session._log, "append", refuse)
        status, reply = vote(server.url, "item0", "a")
    assert status == 507 and "No space left" in reply["error"]
    assert request(server.url, "/state")[1]["done"] == 0
    assert vote(server.url, "item0", "a")[1]["done"] == 1


def test_other_sites_may_neither_frame_nor_script_it(server: LabelServer) -> None:
    with socket.create_connection(server.server_address) as client:
        client.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        head = client.makefile("rb").read().split(b"\r\n\r\n")[0].decode()
    for words in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "X-Frame-Options: DENY"):
        assert words in head
    assert "Access-Control" not in head


def test_posts_at_once_lose_nothing(server: LabelServer, votes: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        statuses = [status for status, _ in pool.map(lambda row: vote(server.url, row["id"], "tie"), ITEMS * 3)]
    assert set(statuses) == {200}
    assert sorted(line["item"] for line in read_lines(votes)) == sorted(row["id"] for row in ITEMS)


def test_kill_9_between_votes_loses_none_and_the_file_is_free_again(tmp_path: Path) -> None:
    write_items(tmp_path / "artifacts/preferences/raw.jsonl")
    path, confirmed = tmp_path / "data/labels/ann.jsonl", []
    for winner in ("a", "tie"):
        with serving(tmp_path) as page:
            state = request(page.url, "/state")[1]
            assert state["done"] == len(confirmed)
            for _ in range(2):
                item = state["item"]["id"]
                status, state = vote(page.url, item, winner)
                assert status == 200
                confirmed.append((item, winner))
            page.kill()
        assert [(line["item"], line["winner"]) for line in read_lines(path)] == confirmed
    with path.open("a") as stream:
        stream.write('{"annotator": "ann", "it')
    with serving(tmp_path) as page:
        assert "warning: the last line of data/labels/ann.jsonl was cut off" in page.said
        assert "ann: 4 of 8 done" in page.said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--annotator", "../ann"], "letters, digits"),
        (["--annotator", ""], "make label ANNOTATOR=ann"),
        (["--annotator", "ann", "--limit", "0"], "at least one item"),
        (["--annotator", "ann"], "dvc repro collect_preferences"),
    ],
)
def test_a_mistake_is_one_message(tmp_path: Path, arguments: list[str], words: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pipeline.labelling", *arguments],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1 and words in result.stderr and "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
