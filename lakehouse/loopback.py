"""An HTTP server that only this machine reaches; pages are made when they are asked for."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lakehouse.errors import ConfigurationError

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Resource:
    """What is served at a path.

    Attributes:
        content: makes it; a ConfigurationError becomes an answer that says so.
        content_type: of its bytes.
    """

    content: Callable[[], bytes]
    content_type: str = "text/html; charset=utf-8"


def loopback_server(
    port: int, resources: Mapping[str, Resource], option: str, hint: str = ""
) -> ThreadingHTTPServer:
    """A server of some paths, bound to loopback; port 0 is any that is free.

    Raises:
        ConfigurationError: the port is taken; it names the option that sets it, and the hint.
    """
    try:
        return ThreadingHTTPServer((HOST, port), _handler(resources))
    except OSError:
        words = f"{option}: {port} is taken; write another{hint}"
        raise ConfigurationError(words) from None


def _handler(resources: Mapping[str, Resource]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server: ThreadingHTTPServer

        def do_GET(self) -> None:
            # A site that gives its own name to 127.0.0.1 must not read the page in a browser.
            port = self.server.server_port
            if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
                self.send_error(HTTPStatus.FORBIDDEN)
            elif self.path not in resources:
                self.send_error(HTTPStatus.NOT_FOUND)
            else:
                self._answer(resources[self.path])

        def _answer(self, resource: Resource) -> None:
            try:
                content = resource.content()
            except ConfigurationError as error:
                self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, explain=str(error))
                return
            tag = f'"{hashlib.sha256(content).hexdigest()}"'
            known = self.headers.get("If-None-Match") == tag
            self.send_response(HTTPStatus.NOT_MODIFIED if known else HTTPStatus.OK)
            self.send_header("ETag", tag)
            self.send_header("Cache-Control", "no-cache")
            if not known:
                self.send_header("Content-Type", resource.content_type)
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if not known:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing of a request."""

    return Handler
