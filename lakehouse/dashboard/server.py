"""Serves the page on loopback; it is drawn anew when a table has moved, and only then."""

from collections.abc import Sequence
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from lakehouse.dashboard.build import draw_page, versions_of
from lakehouse.loopback import Resource, loopback_server
from lakehouse.prometheus.publish import CONTENT_TYPE, METRICS_PATH, exposition_now


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
    """A server of the page and of Prometheus' metrics, bound to loopback; port 0 is any free one.

    Raises:
        ConfigurationError: a root holds no lakehouse, or the port is taken.
    """
    page = RenewedPage(roots)
    page.now()
    resources = {
        "/": Resource(page.now),
        METRICS_PATH: Resource(partial(exposition_now, roots), CONTENT_TYPE),
    }
    return loopback_server(port, resources, "--port", " (PORT=... for make)")
