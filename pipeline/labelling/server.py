"""Serves the labelling page, on this machine only; requests of other sites in the same browser are refused."""

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import PipelineError
from pipeline.labelling.session import Session, SessionState

HOST = "127.0.0.1"
_HERE = Path(__file__).parent
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_OWN_NAMES = ("127.0.0.1", "localhost")
_LARGEST_BODY = 16384
_HEADERS = {
    # the page loads nothing from elsewhere, and no other page may show it in a frame to catch clicks
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class LabelServer(ThreadingHTTPServer):
    """Serves one session on the loopback interface."""

    def __init__(self, session: Session, *, port: int, question: str) -> None:
        """Bind the port; 0 takes a free one.

        Raises:
            PipelineError: the port is taken or not allowed.
        """
        self.session = session
        self.question = question
        self.files = {path: ((_HERE / name).read_bytes(), kind) for path, (name, kind) in _FILES.items()}
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise PipelineError(f"port {port}: {error.strerror}. Choose another one with --port.") from error

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}/"


class _Refused(Exception):
    """A request that is refused; the message is sent as the error."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: LabelServer
    timeout = 30  # seconds; a client that stalls must not hold its thread for ever

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: the page shows what matters."""

    def _answer(self, reply: Any) -> None:
        try:
            content, kind = reply()
            self._send(HTTPStatus.OK, content, kind)
        except _Refused as refusal:
            self._send_error(refusal.status, str(refusal))
        except PipelineError as error:
            self._send_error(HTTPStatus.CONFLICT, str(error))
        except (ConnectionError, TimeoutError):  # whoever asked has gone
            self.close_connection = True
        except OSError as error:
            self._send_error(HTTPStatus.INSUFFICIENT_STORAGE, f"the vote could not be written: {error.strerror}")

    def _get(self) -> tuple[bytes, str]:
        self._require_own_name()
        if self.path == "/state":
            return self._as_json(self.server.session.state())
        if self.path not in self.server.files:
            raise _Refused(HTTPStatus.NOT_FOUND, "there is nothing here")
        return self.server.files[self.path]

    def _post(self) -> tuple[bytes, str]:
        body = self._body()
        self._require_own_name()
        self._require_own_page()
        if self.path != "/votes":
            raise _Refused(HTTPStatus.NOT_FOUND, "votes go to /votes")
        try:
            vote = json.loads(body)
            item, winner = vote["item"], vote["winner"]
        except (ValueError, KeyError, TypeError):
            item = winner = None
        if not isinstance(item, str) or not isinstance(winner, str):
            raise _Refused(HTTPStatus.BAD_REQUEST, 'a vote is {"item": ID, "winner": CHOICE}')
        return self._as_json(self.server.session.vote(item, winner))

    def _require_own_name(self) -> None:
        """Refuse other names in the Host header, as of a site whose name resolves to this machine (DNS rebinding)."""
        try:
            name = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        except ValueError:
            name = None
        if name not in _OWN_NAMES:
            raise _Refused(HTTPStatus.FORBIDDEN, f"this page answers to {' and '.join(_OWN_NAMES)} only")

    def _require_own_page(self) -> None:
        """Refuse votes of other pages: browsers send a request's origin, and let other sites send no JSON unasked."""
        if self.headers.get("Origin") != f"http://{self.headers.get('Host')}":
            raise _Refused(HTTPStatus.FORBIDDEN, "votes come from this page only")
        if self.headers.get_content_type() != "application/json":
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "votes are application/json")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "Content-Length is missing")
        if int(length) > _LARGEST_BODY:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a vote has at most {_LARGEST_BODY} bytes")
        return self.rfile.read(int(length))

    def _as_json(self, state: SessionState) -> tuple[bytes, str]:
        return json.dumps({**state, "question": self.server.question}).encode(), "application/json"

    def _send_error(self, status: HTTPStatus, message: str) -> None:
        self._send(status, json.dumps({"error": message}).encode(), "application/json")

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
