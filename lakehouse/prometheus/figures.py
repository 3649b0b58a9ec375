"""What Prometheus is told of, as values. Pure."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

Row = Mapping[str, Any]
BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the histogram of batch seconds; the last bucket has none."""
RESULTS = ("in", "out", "rejected", "duplicate")


@dataclass(frozen=True)
class Totals:
    """All micro-batches of one query so far.

    Attributes:
        rows: rows by result, of batches that ended well.
        outcomes: batches by outcome.
        in_buckets: batches that ended well by bucket of their seconds, each bucket by itself.
        seconds: of those, all together.
    """

    rows: Mapping[str, int]
    outcomes: Mapping[str, int]
    in_buckets: Sequence[int]
    seconds: float


@dataclass(frozen=True)
class Quality:
    """The newest final day of all versions together.

    Attributes:
        accuracy: share of labelled rows that were right; None of a regression.
        error: root mean squared error; None of classes.
    """

    n_labelled: int
    label_coverage: float | None
    accuracy: float | None
    error: float | None


@dataclass(frozen=True)
class Figures:
    """All that is told of one lakehouse.

    Attributes:
        model: name of the model.
        at: when it was read, wall-clock time.
        batches: totals by query.
        newest: the newest row of gold.batch_metrics of each query.
        waiting: the backlog of each query by now, as columns of gold.batch_metrics.
        runs: gold.job_run, in write order.
        commits: newest commit of each table.
        quality: None before the first final day.
        psi: population stability index of the newest day by column.
        alerts: how many alerts of each rule are open; 0 where one was.
        champion: version in production.
    """

    model: str
    at: dt.datetime
    batches: Mapping[str, Totals] = field(default_factory=dict)
    newest: Mapping[str, Row] = field(default_factory=dict)
    waiting: Mapping[str, Row] = field(default_factory=dict)
    runs: Sequence[Row] = ()
    commits: Mapping[str, dt.datetime] = field(default_factory=dict)
    quality: Quality | None = None
    psi: Mapping[str, float] = field(default_factory=dict)
    alerts: Mapping[str, int] = field(default_factory=dict)
    champion: str | None = None


def totals_of(batches: pa.Table) -> dict[str, Totals]:
    """The totals by query of rows of gold.batch_metrics."""
    names = batches["query"].to_pylist() if len(batches) else []
    queries = np.array(names, dtype=object)
    outcomes = np.array(batches["outcome"].to_pylist(), dtype=object)
    seconds = batches["seconds"].to_numpy()
    rows = {name: np.nan_to_num(batches[f"rows_{name}"].to_numpy()) for name in RESULTS}
    found = {}
    for query in sorted(set(names)):
        own = queries == query
        ended_well = own & (outcomes == "ok")
        places = np.searchsorted(BUCKETS, seconds[ended_well])
        kinds, counts = np.unique(outcomes[own].astype(str), return_counts=True)
        found[query] = Totals(
            # What a failed attempt read, its replay reads again.
            {name: int(values[ended_well].sum()) for name, values in rows.items()},
            dict(zip(kinds.tolist(), counts.tolist(), strict=True)),
            np.bincount(places, minlength=len(BUCKETS) + 1).tolist(),
            float(seconds[ended_well].sum()),
        )
    return found


def open_by_rule(events: Sequence[Row]) -> dict[str, int]:
    """How many alerts of each rule are open, by the newest event of each."""
    newest: dict[str, Row] = {}
    for event in sorted(events, key=lambda row: row["sequence"]):
        newest[event["fingerprint"]] = event
    found = dict.fromkeys(sorted({event["rule"] for event in events}), 0)
    for event in newest.values():
        found[event["rule"]] += event["status"] != "ok"
    return found
