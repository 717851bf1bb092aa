"""The page's server: on this machine alone, for who has its address."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

from sreclip.errors import ConfigError, SreclipError
from sreclip.labelling.session import Session

HOST = "127.0.0.1"
_MOST_BYTES = 10_000
_POLICY = (
    "default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class LabelServer(ThreadingHTTPServer):
    """Serves a session's page, images and labels to whoever knows the secret of `url`.

    Only the loopback address is listened at. A request must name this very host, so that no other
    site can reach it through a name of its own, and carry the secret, which no other site knows.
    After each label ``labelled`` is called.
    """

    daemon_threads = True

    def __init__(
        self, session: Session, port: int = 0, labelled: Callable[[], object] = lambda: None
    ) -> None:
        self.session, self.labelled = session, labelled
        self.secret = secrets.token_urlsafe(16)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise ConfigError(
                f"port {port} cannot be used ({error.strerror})", "choose another with --port"
            ) from error

    @property
    def host(self) -> str:
        """Address and port."""
        return f"{HOST}:{self.server_address[1]}"

    @property
    def url(self) -> str:
        """What to open in a browser."""
        return f"http://{self.host}/?key={self.secret}"


class _Handler(BaseHTTPRequestHandler):
    server: LabelServer

    def do_GET(self) -> None:
        path = self._allowed()
        if path == "/":
            page = (files("sreclip.labelling") / "templates/label.html").read_bytes()
            self._answer(page, "text/html; charset=utf-8")
        elif path == "/state":
            self._state()
        elif path is not None and path.startswith("/image/"):
            self._image(path.removeprefix("/image/"))
        elif path is not None:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        if self._allowed() != "/label":
            return
        try:
            size = min(int(self.headers.get("Content-Length", 0)), _MOST_BYTES)
            wanted = json.loads(self.rfile.read(size))
            at, name = wanted["image"], wanted["label"]
            if not (name is None or isinstance(name, str)) or at not in range(self._n_images):
                raise ValueError
        except (ValueError, KeyError, TypeError):
            self.send_error(HTTPStatus.BAD_REQUEST, "no such image or label")
            return
        try:
            self.server.session.give(at, name)
            self.server.labelled()
        except SreclipError as error:
            answer = json.dumps({"problem": str(error)}).encode()
            self._answer(answer, "application/json", HTTPStatus.CONFLICT)
            return
        self._state()

    @property
    def _n_images(self) -> int:
        return len(self.server.session.shown)

    def _allowed(self) -> str | None:
        """Return the path of a request that may be answered; else refuse it."""
        parts = urlsplit(self.path)
        key = parse_qs(parts.query).get("key", [""])[0]
        if self.headers.get("Host") != self.server.host or not secrets.compare_digest(
            key.encode(), self.server.secret.encode()
        ):
            self.send_error(HTTPStatus.FORBIDDEN, "open the address that sreclip label printed")
            return None
        return parts.path

    def _image(self, number: str) -> None:
        at = int(number) if number.isdecimal() else self._n_images
        content = self.server.session.jpeg(at) if at < self._n_images else None
        if content is None:
            self.send_error(HTTPStatus.NOT_FOUND, "this image cannot be read")
        else:
            self._answer(content, "image/jpeg")

    def _state(self) -> None:
        self._answer(json.dumps(self.server.session.state()).encode(), "application/json")

    def _answer(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Print no line per request."""
