"""What the page is drawn from: each query's answer, asked of DuckDB over the Delta tables.

A lakehouse tells its own names: the statements that it keeps for DuckDB hold its tables and views.
No settings are needed, nothing is written, and no Spark is started.
"""

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.dashboard.queries import RECENT_DAYS, queries_of
from lakehouse.dashboard.rows import Answer, ModelAnswers
from lakehouse.errors import ConfigurationError
from lakehouse.sql.catalogue import in_duckdb
from lakehouse.sql.names import names_in
from lakehouse.storage.snapshot import Snapshot

# A missing extension is an error, never a download. One thread adds doubles in one order.
_SETTINGS = """
SET autoinstall_known_extensions = false; SET TimeZone = 'UTC'; SET threads = 1;
"""
_ASKED = (
    "bronze.landed_file",
    "silver.quarantine",
    "silver.scoring_cost",
    "silver.scoring_ledger",
    "gold.profile_metrics",
    "gold.drift_metrics",
    "gold.monitor",
    "gold.counterfactual",
    "gold.decision",
    "gold.promotion",
    "gold.rollout",
    "gold.alert_event",
    "gold.table_commit",
    "gold.batch_metrics",
    "gold.job_run",
)
_VIEW_NAME = re.compile(r"CREATE OR REPLACE VIEW \w+\.(\w+)")
_OF_DAYS = ("gold.profile_metrics", "gold.drift_metrics")
_FACTS = "gold.window_facts"
_BATCHES = "gold.batch_metrics"
_RECENT = dt.timedelta(days=RECENT_DAYS)


def answers_of(root: Path) -> ModelAnswers:
    """Ask a lakehouse all queries.

    Raises:
        ConfigurationError: there is no lakehouse in that folder, or an older release wrote it last.
    """
    try:
        return _answers(root)
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise ConfigurationError(
            f"{root}: its tables are of an older release; run jobs/run_pipeline.py of this one on "
            f"it first ({str(error).splitlines()[0]})"
        ) from error


def _answers(root: Path) -> ModelAnswers:
    names = names_in(root)
    snapshot, day = Snapshot(str(root.resolve())), names.day
    tables = tuple(snapshot.state(name) for name in names.tables if snapshot.has(name))
    queries = queries_of(names.model_id, day)
    views = _named_by(queries.values(), names.views)
    # A column that no view and no query names is not read.
    words = set(re.findall(r"\w+", " ".join([*views, *queries.values()])))
    with duckdb.connect() as connection:
        connection.execute(_SETTINGS)
        for layer in ("bronze", "silver", "gold"):
            connection.execute(f"CREATE SCHEMA {layer}")
        for name in filter(snapshot.has, _ASKED):  # an older release has fewer
            columns = [column for column in snapshot.columns(name) if column in words]
            _copy(connection, name, _part_of(snapshot, name, columns, day))
        _copy(connection, _FACTS, _calibration(snapshot))
        for view in views:
            connection.execute(view)
        answers = {name: _asked(connection, sql) for name, sql in queries.items()}
    return ModelAnswers(names.model, answers, tables)


def _named_by(queries: Iterable[str], views: Sequence[str]) -> list[str]:
    """The views that queries name, and those that these views name, in the order given."""
    by_name = {_VIEW_NAME.findall(view)[0]: view for view in views}
    needed: set[str] = set()
    waiting = list(queries)
    while waiting:
        words = set(re.findall(r"\w+", waiting.pop()))
        found = (by_name.keys() & words) - needed
        needed |= found
        waiting += [by_name[name] for name in found]
    return [view for name, view in by_name.items() if name in needed]


def table_names(root: Path) -> list[str]:
    """The tables (`layer.table`) that the lakehouse names.

    Raises:
        ConfigurationError: there is no lakehouse in that folder.
    """
    return names_in(root).tables


def _part_of(snapshot: Snapshot, name: str, names: list[str], day: str) -> pa.Table:
    """Some columns of a table; of a metric table, the days and the baselines alone; of
    micro-batches, the newest days.
    """
    columns = {column: pc.field(column) for column in names}
    if name == _BATCHES:
        span = snapshot.span(name, "recorded_at")
        since = span and pc.field("recorded_at") > span[1] - _RECENT
        return snapshot.arrow(name, columns, where=since)
    if name not in _OF_DAYS:
        return snapshot.arrow(name, columns)
    # Quantiles are kilobytes a row: of days, those of the newest are enough.
    few = {column: field for column, field in columns.items() if column != "quantiles"}
    newest = snapshot.newest_day(name)
    since = newest - _RECENT if newest else dt.date.max
    parts = [
        snapshot.arrow(name, few, f"granularity = '{day}' AND window_date <= '{since}'"),
        snapshot.arrow(name, columns, f"granularity = '{day}' AND window_date > '{since}'"),
        snapshot.arrow(name, columns, "granularity IS NULL"),
    ]
    return pa.concat_tables(parts, promote_options="default")


def _calibration(snapshot: Snapshot) -> pa.Table:
    """What the reliability of probabilities is computed from, of the newest days."""
    newest = snapshot.newest_day(_FACTS)
    calibration = pc.make_struct(pc.field("quality", "calibration"), field_names=["calibration"])
    columns = {
        "window_date": pc.field("window_date"),
        "slice_key": pc.field("slice_key"),
        "quality": calibration,
    }
    since = f"window_date > '{newest - _RECENT}'" if newest else None
    return snapshot.arrow(_FACTS, columns, since)


def _copy(connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    """Copy a table into DuckDB: a look at a file a day is slow, and views look often."""
    connection.register("given", rows.combine_chunks())
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
    connection.unregister("given")


def _asked(connection: duckdb.DuckDBPyConnection, sql: str) -> Answer:
    answer = connection.sql(in_duckdb(sql)).to_arrow_table()
    return Answer(sql, tuple(answer.column_names), tuple(answer.to_pylist()))
