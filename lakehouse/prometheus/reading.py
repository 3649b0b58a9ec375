"""Reads the figures of a lakehouse from its tables, without Spark or the model's settings."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.compute import Expression

from lakehouse.operations.rows import backlog, total
from lakehouse.prometheus.figures import Figures, Quality, Row, open_by_rule, totals_of
from lakehouse.sql.names import Names, names_in
from lakehouse.storage.delta_log import added_between, committed_at
from lakehouse.storage.snapshot import Snapshot
from lakehouse.versions.actions import MOVES

_BATCHES, _RUNS = "gold.batch_metrics", "gold.job_run"
_OF_BATCH = (
    "query",
    "outcome",
    "seconds",
    "rows_in",
    "rows_out",
    "rows_rejected",
    "rows_duplicate",
    "began_at",
    "lag_seconds",
    "source_versions",
    "heap_used_bytes",
    "heap_max_bytes",
    "python_peak_bytes",
)
_OF_RUN = ("job", "outcome", "error_class", "ended_at", "seconds", "recorded_at")
_OF_INGEST = "bronze.landed_file"
_LOOKBACKS = (dt.timedelta(days=5), dt.timedelta(days=45))
"""Where labels are late, the newest final day is further back: a file is opened for each day."""


def figures_of(root: Path, at: dt.datetime) -> Figures:
    """The figures of the lakehouse in a folder.

    Args:
        root: of the lakehouse.
        at: wall-clock time.

    Raises:
        ConfigurationError: there is no lakehouse in that folder.
    """
    names, snapshot = names_in(root), Snapshot(str(root.resolve()))
    batches = _arrow(snapshot, _BATCHES, _OF_BATCH)
    newest = _newest_batches(batches)
    commits = {name: committed_at(snapshot.path(name)) for name in names.tables}
    return Figures(
        model=names.model,
        at=at,
        batches=totals_of(batches),
        newest=newest,
        waiting={query: _waiting(snapshot, row, at) for query, row in newest.items()},
        runs=_rows(snapshot, _RUNS, _OF_RUN, "recorded_at"),
        commits={name: moment for name, moment in commits.items() if moment},
        quality=_quality(snapshot, names),
        psi=_psi(snapshot, names),
        alerts=open_by_rule(
            _rows(
                snapshot,
                "gold.alert_event",
                ("fingerprint", "sequence", "rule", "status"),
                "sequence",
            )
        ),
        champion=_champion(snapshot),
    )


def _arrow(
    snapshot: Snapshot,
    name: str,
    columns: Sequence[str],
    where: Expression | None = None,
    partitions: str | None = None,
) -> pa.Table:
    """Columns of a table; no rows where an older release has not made it."""
    if not snapshot.has(name):
        return pa.table({column: pa.array([], pa.string()) for column in columns})
    fields = {column: pc.field(column) for column in columns}
    return snapshot.arrow(name, fields, partitions, where)


def _rows(snapshot: Snapshot, name: str, columns: Sequence[str], order: str) -> list[Row]:
    found = _arrow(snapshot, name, columns).to_pylist()
    return sorted(found, key=lambda row: row[order])


def _newest_batches(batches: pa.Table) -> dict[str, Row]:
    """The newest batch of each query that ended well."""
    ended_well = batches.filter(pc.field("outcome") == "ok")
    by_query = ended_well.group_by("query", use_threads=False)
    found: dict[str, Row] = {}
    for newest in by_query.aggregate([("began_at", "max")]).to_pylist():
        is_newest = (pc.field("query") == newest["query"]) & (
            pc.field("began_at") == newest["began_at_max"]
        )
        found[newest["query"]] = ended_well.filter(is_newest).slice(0, 1).to_pylist()[0]
    return found


def _waiting(snapshot: Snapshot, batch: Row, at: dt.datetime) -> Row:
    """What the sources of a query hold by now that its newest batch did not read."""
    versions = dict(batch["source_versions"] or ())
    added = [added_between(snapshot.path(name), first) for name, first in versions.items()]
    return backlog(total(added), at, _OF_INGEST in versions)


def _quality(snapshot: Snapshot, names: Names) -> Quality | None:
    """The newest final day of all versions together."""
    table = "gold.profile_metrics"
    columns = (
        "window_date",
        "n_labelled",
        "label_coverage",
        "accuracy_score",
        "root_mean_squared_error",
    )
    where = (pc.field("column_name") == ":table") & pc.field("is_final")
    rows = _of_newest_days(snapshot, names, table, columns, where)
    if not rows:
        return None
    row = max(rows, key=lambda row: row["window_date"])
    return Quality(
        row["n_labelled"] or 0,
        row["label_coverage"],
        row["accuracy_score"],
        row["root_mean_squared_error"],
    )


def _psi(snapshot: Snapshot, names: Names) -> dict[str, float]:
    """The population stability index of each column on the newest day that has one."""
    columns = ("window_date", "column_name", "population_stability_index")
    # Scores are compared with the cross-fitted ones of the training: they always differ.
    is_own = pc.field("column_name") != "score"
    where = (pc.field("drift_type") == "BASELINE") & pc.field(columns[-1]).is_valid() & is_own
    rows = _of_newest_days(snapshot, names, "gold.drift_metrics", columns, where)
    newest = max((row["window_date"] for row in rows), default=None)
    own = (row for row in rows if row["window_date"] == newest)
    return {row["column_name"]: row["population_stability_index"] for row in own}


def _of_newest_days(
    snapshot: Snapshot, names: Names, table: str, columns: Sequence[str], where: Expression
) -> list[Row]:
    """Rows of whole days without slices, of all versions together; the newest days alone."""
    newest = snapshot.newest_day(table)
    if newest is None:
        return []
    of_all = (pc.field(names.model_id) == "*") & pc.field("slice_key").is_null()
    found: list[Row] = []
    for lookback in _LOOKBACKS:
        since = f"granularity = '{names.day}' AND window_date >= '{newest - lookback}'"
        found = found or _arrow(snapshot, table, columns, where & of_all, since).to_pylist()
    return found


def _champion(snapshot: Snapshot) -> str | None:
    columns = ("action", "to_version", "recorded_at")
    rows = _rows(snapshot, "gold.promotion", columns, "recorded_at")
    moves = [row["to_version"] for row in rows if row["action"] in MOVES]
    return moves[-1] if moves else None
