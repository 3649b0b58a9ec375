"""What an endpoint tells Prometheus: requests, rows, refusals, the version that answers."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from lakehouse.serving.champions import Champions
from lakehouse.serving.served_lines import ServedLines

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Measures:
    """The figures of one process; no label holds a value of a row."""

    def __init__(self, model: str, champions: Champions, lines: ServedLines) -> None:
        """Begin at zero."""
        disable_created_metrics()  # a series more for each, which nobody asks for
        self._model, self._champions, self._lines = model, champions, lines
        self._registry = registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "lakehouse_serve_requests",
            "Requests by path and status",
            ("model", "path", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "lakehouse_serve_request_seconds",
            "Wall-clock time from the whole body to the answer, of predictions",
            ("model",),
            buckets=_BUCKETS,
            registry=registry,
        ).labels(model)
        self._rows = Counter(
            "lakehouse_serve_rows",
            "Rows by outcome: landed (a reading, on record), answered (a row without a key, which "
            "does not land) or refused (its request broke a rule)",
            ("model", "outcome"),
            registry=registry,
        )
        self._version = Gauge(
            "lakehouse_serve_version_info",
            "1 for the version that answers",
            ("model", "version", "sha256"),
            registry=registry,
        )
        self._gauges = {
            name: Gauge(name, words, ("model",), registry=registry).labels(model)
            for name, words in {
                "lakehouse_serve_ready": "Whether a version answers",
                "lakehouse_serve_refused": "Whether the ledger's newest version is refused",
                "lakehouse_serve_swaps": "Times that another version has taken over",
                "lakehouse_serve_written_lines": "Lines written for the landing folder",
            }.items()
        }

    def request(self, path: str, status: int) -> None:
        """Count a request; the path is a route's pattern."""
        self._requests.labels(self._model, path, str(status)).inc()

    def answered(self, landed: int, others: int, seconds: float) -> None:
        """Count the rows of a prediction, and its time."""
        self._seconds.observe(seconds)
        if landed:
            self._rows.labels(self._model, "landed").inc(landed)
        if others:
            self._rows.labels(self._model, "answered").inc(others)

    def refused(self, rows: int) -> None:
        """Count the rows that broke a rule."""
        self._rows.labels(self._model, "refused").inc(rows)

    def exposition(self) -> bytes:
        """The figures as they are now, in Prometheus' text format."""
        champions, gauges = self._champions, self._gauges
        version = champions.current
        self._version.clear()
        if version:
            self._version.labels(self._model, version.number, version.sha256).set(1)
        gauges["lakehouse_serve_ready"].set(version is not None)
        gauges["lakehouse_serve_refused"].set(champions.refusal is not None)
        gauges["lakehouse_serve_swaps"].set(champions.swaps)
        gauges["lakehouse_serve_written_lines"].set(self._lines.written)
        return generate_latest(self._registry)
