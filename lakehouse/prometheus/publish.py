"""Publishes the figures of a lakehouse: as a text file after each job, or over HTTP."""

import datetime as dt
import logging
import threading
from collections.abc import Sequence
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE

from lakehouse.loopback import Resource, loopback_server
from lakehouse.prometheus.exposition import exposition
from lakehouse.prometheus.reading import figures_of
from lakehouse.storage.folders import write_changed

__all__ = [
    "CONTENT_TYPE",
    "METRICS_PATH",
    "exposition_now",
    "exposition_path",
    "renew_exposition",
    "serve_exposition",
]

METRICS_PATH = "/metrics"
_logger = logging.getLogger(__name__)


def exposition_path(root: Path) -> Path:
    """Where the text file of a lakehouse is written: for node exporter's textfile collector."""
    return root / "metrics" / "lakehouse.prom"


def exposition_now(roots: Sequence[Path]) -> bytes:
    """The text of these lakehouses as they are now.

    Raises:
        ConfigurationError: one of the roots holds no lakehouse.
    """
    at = dt.datetime.now(dt.UTC)
    return exposition(figures_of(root, at) for root in roots)


def renew_exposition(root: str) -> None:
    """Write the text file of a lakehouse at the end of a job, at once: it may be being read.

    The job has done its work by then: a file that cannot be written is a warning, and the one
    before stays. A lakehouse in an object store has none, nor has a folder without a lakehouse.
    """
    if "://" in root or not (Path(root) / "_system" / "tables.duckdb.sql").exists():
        return
    try:
        write_changed(exposition_path(Path(root)), exposition_now([Path(root)]))
    except KeyboardInterrupt:
        raise
    except BaseException:  # what Rust's libraries raise is no Exception
        _logger.warning(
            "the metrics' file could not be written; the one before stays", exc_info=True
        )


def serve_exposition(root: str, port: int) -> ThreadingHTTPServer:
    """Serve the figures of a lakehouse on loopback, beside the process's work.

    Raises:
        ConfigurationError: the port is taken.
    """
    content = partial(exposition_now, [Path(root)])
    server = loopback_server(
        port, {METRICS_PATH: Resource(content, CONTENT_TYPE)}, "--metrics-port"
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
