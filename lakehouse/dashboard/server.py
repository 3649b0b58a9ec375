"""Serves the page on loopback; it is drawn anew when a table has moved, and only then."""

import hashlib
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from lakehouse.dashboard.build import draw_page, versions_of
from lakehouse.errors import ConfigurationError

HOST = "127.0.0.1"


class RenewedPage:
    """The page as it is now.

    Attributes:
        drawn: how often it has been drawn.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        """Take the lakehouses; nothing is read before the first look."""
        self._roots = roots
        self._lock = Lock()
        self._versions: dict[tuple[str, str], int] | None = None
        self._page = b""
        self.drawn = 0

    def now(self) -> bytes:
        """The page; of two that look at once, one draws it.

        Raises:
            ConfigurationError: a lakehouse is not there any more.
        """
        with self._lock:
            versions = versions_of(self._roots)
            if versions != self._versions:
                self._page = draw_page(self._roots)
                self._versions = versions
                self.drawn += 1
            return self._page


def server_of(roots: Sequence[Path], port: int) -> ThreadingHTTPServer:
    """A server of the page, bound to loopback; port 0 is any that is free.

    Raises:
        ConfigurationError: a root holds no lakehouse, or the port is taken.
    """
    page = RenewedPage(roots)
    page.now()
    try:
        return ThreadingHTTPServer((HOST, port), _handler(page.now))
    except OSError:
        raise ConfigurationError(
            f"--port: {port} is taken; write another (PORT=... for make)"
        ) from None


def _handler(page: Callable[[], bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server: ThreadingHTTPServer

        def do_GET(self) -> None:
            # A site that gives its own name to 127.0.0.1 must not read the page in a browser.
            port = self.server.server_port
            if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
                self.send_error(HTTPStatus.FORBIDDEN)
            elif self.path != "/":
                self.send_error(HTTPStatus.NOT_FOUND)
            else:
                self._answer()

        def _answer(self) -> None:
            try:
                content = page()
            except ConfigurationError as error:
                self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, explain=str(error))
                return
            tag = f'"{hashlib.sha256(content).hexdigest()}"'
            known = self.headers.get("If-None-Match") == tag
            self.send_response(HTTPStatus.NOT_MODIFIED if known else HTTPStatus.OK)
            self.send_header("ETag", tag)
            self.send_header("Cache-Control", "no-cache")
            if not known:
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if not known:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing of a request."""

    return Handler
