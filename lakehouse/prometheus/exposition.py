"""Figures of a lakehouse in Prometheus' text format. Pure.

Series have no timestamps: a scrape has one. Ages are as of `lakehouse_written_timestamp_seconds`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from scipy.stats import binomtest

from lakehouse.prometheus.figures import BUCKETS, Figures, Row

_OF_NEWEST_BATCH = {
    "lakehouse_batch_lag_seconds": ("lag_seconds", "Age of the oldest row of the newest batch"),
    "lakehouse_heap_used_bytes": ("heap_used_bytes", "Heap of Spark's JVM in use"),
    "lakehouse_heap_max_bytes": ("heap_max_bytes", "Most heap that Spark's JVM may take"),
    "lakehouse_python_peak_bytes": ("python_peak_bytes", "Most memory that Python has had"),
}
_OF_BACKLOG = {
    "lakehouse_backlog_files": ("backlog_files", "Files that wait; of ingest, on record"),
    "lakehouse_backlog_bytes": ("backlog_bytes", "Bytes that wait"),
    "lakehouse_backlog_rows": ("backlog_rows", "Rows that wait"),
    "lakehouse_oldest_waiting_seconds": ("oldest_waiting_seconds", "Age of the oldest that waits"),
}


def exposition(models: Iterable[Figures]) -> bytes:
    """The text of one or more lakehouses; each series names its model."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(list(_merged(models))))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _merged(models: Iterable[Figures]) -> Iterable[Metric]:
    """A family is written once, with the samples of all models."""
    merged: dict[str, Metric] = {}
    for figures in models:
        for family in _families(figures):
            if not family.samples:
                continue
            known = merged.setdefault(family.name, family)
            if known is not family:
                known.samples += family.samples
    return merged.values()


def _families(figures: Figures) -> Iterator[Metric]:
    yield from _of_batches(figures)
    yield from _of_jobs(figures)
    yield from _of_model(figures)
    ages = {table: (figures.at - at).total_seconds() for table, at in figures.commits.items()}
    yield _gauge(
        figures,
        "lakehouse_table_commit_age_seconds",
        "Age of the newest commit",
        "table",
        {table: max(age, 0.0) for table, age in ages.items()},
    )
    yield _gauge(
        figures,
        "lakehouse_written_timestamp_seconds",
        "When these figures were read",
        None,
        {"": figures.at.timestamp()},
    )


def _of_batches(figures: Figures) -> Iterator[Metric]:
    labels = ["model", "query"]
    seconds = HistogramMetricFamily(
        "lakehouse_batch_seconds", "Seconds of a micro-batch that ended well", labels=labels
    )
    rows = CounterMetricFamily(
        "lakehouse_rows", "Rows of micro-batches by result", labels=[*labels, "result"]
    )
    batches = CounterMetricFamily(
        "lakehouse_batches", "Micro-batches by outcome", labels=[*labels, "outcome"]
    )
    bounds = [*map(str, BUCKETS), "+Inf"]
    for query, totals in figures.batches.items():
        key = [figures.model, query]
        cumulative = list(accumulate(totals.in_buckets))
        seconds.add_metric(key, list(zip(bounds, cumulative, strict=True)), totals.seconds)
        for result, n_rows in totals.rows.items():
            rows.add_metric([*key, result], n_rows)
        for outcome, n_batches in totals.outcomes.items():
            batches.add_metric([*key, outcome], n_batches)
    yield from (seconds, rows, batches)
    for name, (column, words) in _OF_NEWEST_BATCH.items():
        values = {query: row[column] for query, row in figures.newest.items()}
        yield _gauge(figures, name, words, "query", values)
    for name, (column, words) in _OF_BACKLOG.items():
        values = {query: row.get(column) for query, row in figures.waiting.items()}
        yield _gauge(figures, name, words, "query", values)


def _of_jobs(figures: Figures) -> Iterator[Metric]:
    errors = CounterMetricFamily(
        "lakehouse_errors", "Runs of jobs that an error ended", labels=["model", "job", "class"]
    )
    runs = CounterMetricFamily(
        "lakehouse_job_runs", "Runs of jobs by outcome", labels=["model", "job", "outcome"]
    )
    newest: dict[str, Row] = {row["job"]: row for row in figures.runs}
    succeeded = {
        row["job"]: row["ended_at"].timestamp() for row in figures.runs if row["outcome"] == "ok"
    }
    by_class = Counter(
        (row["job"], row["error_class"]) for row in figures.runs if row["error_class"]
    )
    by_outcome = Counter((row["job"], row["outcome"]) for row in figures.runs)
    for (job, name), n_runs in sorted(by_class.items()):
        errors.add_metric([figures.model, job, name], n_runs)
    for (job, outcome), n_runs in sorted(by_outcome.items()):
        runs.add_metric([figures.model, job, outcome], n_runs)
    yield from (errors, runs)
    for name, words, values in (
        ("lakehouse_last_success_timestamp_seconds", "End of the newest good run", succeeded),
        (
            "lakehouse_last_run_ok",
            "1 where the newest run ended well",
            {job: float(row["outcome"] == "ok") for job, row in newest.items()},
        ),
        (
            "lakehouse_last_run_seconds",
            "Seconds of the newest run",
            {job: row["seconds"] for job, row in newest.items()},
        ),
    ):
        yield _gauge(figures, name, words, "job", values)


def _of_model(figures: Figures) -> Iterator[Metric]:
    yield from _of_quality(figures)
    yield _gauge(
        figures,
        "lakehouse_psi",
        "Population stability index of the newest day against the training data",
        "column",
        figures.psi,
    )
    yield _gauge(
        figures, "lakehouse_alert_open", "Alerts that are open", "rule", dict(figures.alerts)
    )
    yield _gauge(
        figures,
        "lakehouse_champion_info",
        "The version in production",
        "version",
        {} if figures.champion is None else {figures.champion: 1.0},
    )


def _of_quality(figures: Figures) -> Iterator[Metric]:
    """The newest final day, with the 95 % interval of its accuracy (Wilson)."""
    quality = figures.quality
    if quality is None:
        return
    values: dict[str, tuple[str, float | None]] = {
        "lakehouse_label_coverage": ("Share of rows whose label has come", quality.label_coverage),
        "lakehouse_root_mean_squared_error": ("Root mean squared error", quality.error),
        "lakehouse_accuracy": ("Share of labelled rows that were right", quality.accuracy),
    }
    if quality.accuracy is not None and quality.n_labelled:
        n_right = round(quality.accuracy * quality.n_labelled)
        interval = binomtest(n_right, quality.n_labelled).proportion_ci(0.95, "wilson")
        values["lakehouse_accuracy_low"] = ("Lower bound of its 95 % interval", interval.low)
        values["lakehouse_accuracy_high"] = ("Upper bound of its 95 % interval", interval.high)
    for name, (words, value) in values.items():
        yield _gauge(figures, name, f"{words}, newest final day", "final", {"true": value})


def _gauge(
    figures: Figures, name: str, words: str, label: str | None, values: Mapping[str, Any]
) -> Metric:
    """A gauge of the model, by a label besides; a value that is not known is no sample."""
    family = GaugeMetricFamily(name, words, labels=["model", label] if label else ["model"])
    for key, value in values.items():
        if value is not None:
            family.add_metric([figures.model, key] if label else [figures.model], float(value))
    return family
