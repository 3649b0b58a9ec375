"""Figures of a lakehouse in which everything is known, for what names metrics."""

import datetime as dt

from lakehouse.prometheus.figures import Figures, Quality, Totals
from tests.support.batch_reports import AT, SECOND

QUERIES = ("aggregate_kpis", "ingest", "score")
BACKLOG = {
    "backlog_files": 2,
    "backlog_bytes": 900,
    "backlog_rows": 192,
    "oldest_waiting_seconds": 60.0,
}


def run(job: str, outcome: str = "ok", minutes: int = 0, **given):
    """A row of gold.job_run."""
    at = AT + minutes * 60 * SECOND
    return {
        "job": job,
        "outcome": outcome,
        "error_class": None,
        "ended_at": at,
        "seconds": 5.0,
        "recorded_at": at,
    } | given


def everything(model: str = "glassware") -> Figures:
    """A lakehouse of which each figure is known."""
    totals = Totals(
        {"in": 192, "out": 190, "rejected": 1, "duplicate": 1},
        {"ok": 3, "failed": 1},
        (0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1),
        401.0,
    )
    newest = {
        "lag_seconds": 2.0,
        "heap_used_bytes": 10,
        "heap_max_bytes": 20,
        "python_peak_bytes": 30,
    }
    return Figures(
        model=model,
        at=AT + dt.timedelta(hours=1),
        batches=dict.fromkeys(QUERIES, totals),
        newest=dict.fromkeys(QUERIES, newest),
        waiting=dict.fromkeys(QUERIES, BACKLOG),
        runs=[run("run_pipeline"), run("score", "failed", 1, error_class="StoreError")],
        commits={"gold.job_run": AT},
        quality=Quality(200, 0.98, 0.9, 0.3),
        psi={"temp": 0.3},
        alerts={"accuracy_low": 1},
        champion="7",
    )
