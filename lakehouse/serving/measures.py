"""What an endpoint tells Prometheus: requests, rows, refusals, the version that answers."""

from collections import Counter as Counts
from collections.abc import Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from lakehouse.serving.answers import Answer
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
        self._answers = Counter(
            "lakehouse_serve_answers",
            "Rows by the version that answered them",
            ("model", "version"),
            registry=registry,
        )
        self._errors = Counter(
            "lakehouse_serve_challenger_errors",
            "Rows of the challenger's arm that the champion had to answer, by the reason",
            ("model", "version", "error"),
            registry=registry,
        )
        self._version = Gauge(
            "lakehouse_serve_version_info",
            "1 for each version that answers: the champion, and the challenger of a rollout",
            ("model", "version", "sha256", "arm"),
            registry=registry,
        )
        self._gauges = {
            name: Gauge(name, words, ("model",), registry=registry).labels(model)
            for name, words in {
                "lakehouse_serve_ready": "Whether a version answers",
                "lakehouse_serve_refused": "Whether the ledger's newest version is refused",
                "lakehouse_serve_swaps": "Times that another version has taken over",
                "lakehouse_serve_challenger_share": "Share of the keys that a rollout gives the "
                "challenger",
                "lakehouse_serve_challenger_refused": "Whether the challenger of a rollout is "
                "refused",
                "lakehouse_serve_written_lines": "Lines written for the landing folder",
            }.items()
        }

    def request(self, path: str, status: int) -> None:
        """Count a request; the path is a route's pattern."""
        self._requests.labels(self._model, path, str(status)).inc()

    def answered(self, answers: Sequence[Answer], landed: int, seconds: float) -> None:
        """Count the rows of a prediction, so many of which land, and its time."""
        self._seconds.observe(seconds)
        for version, rows in Counts(answer.version for answer in answers).items():
            self._answers.labels(self._model, version).inc(rows)
        if landed:
            self._rows.labels(self._model, "landed").inc(landed)
        if landed < len(answers):
            self._rows.labels(self._model, "answered").inc(len(answers) - landed)

    def challenger_failed(self, version: str, errors: Mapping[str, int]) -> None:
        """Count the rows of a challenger's arm that the champion had to answer, by the reason."""
        for error, rows in errors.items():
            self._errors.labels(self._model, version, error).inc(rows)

    def challenger_errors(self, version: str) -> int:
        """How many rows of a challenger's arm the champion had to answer so far."""
        samples = (sample for metric in self._errors.collect() for sample in metric.samples)
        return int(sum(each.value for each in samples if each.labels["version"] == version))

    def refused(self, rows: int) -> None:
        """Count the rows that broke a rule."""
        self._rows.labels(self._model, "refused").inc(rows)

    def exposition(self) -> bytes:
        """The figures as they are now, in Prometheus' text format."""
        champions, gauges = self._champions, self._gauges
        arms = champions.arms
        self._version.clear()
        versions = zip(("champion", "challenger"), arms.versions if arms else (), strict=False)
        for arm, version in versions:
            self._version.labels(self._model, version.number, version.sha256, arm).set(1)
        rollout = arms.rollout if arms else None
        gauges["lakehouse_serve_ready"].set(arms is not None)
        gauges["lakehouse_serve_challenger_share"].set(rollout.share if rollout else 0.0)
        is_refused = champions.challenger_refusal is not None
        gauges["lakehouse_serve_challenger_refused"].set(is_refused)
        gauges["lakehouse_serve_refused"].set(champions.refusal is not None)
        gauges["lakehouse_serve_swaps"].set(champions.swaps)
        gauges["lakehouse_serve_written_lines"].set(self._lines.written)
        return generate_latest(self._registry)
