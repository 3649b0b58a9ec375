"""Gold as the pipeline wrote it, read without Spark by those who do: delta-rs, Polars, DuckDB and
pandas.
"""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import duckdb_ext
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from lakehouse.storage.lakehouse import Lakehouse

Rows = list[dict[str, Any]]
# Of each kind: nested structs, maps, arrays, arrays of structs, times, dates that are partitions,
# numbers with nulls.
COLUMNS = {
    "window_facts": [
        "window_start",
        "model_version",
        "quality",
        "as_of_version",
        "window_date",
        "n_in_training",
    ],
    "profile_metrics": [
        *(
            "window",
            "granularity",
            "model_version",
            "column_name",
            "count",
            "avg",
            "non_null_columns",
            "is_final",
        ),
        *(
            "frequent_items",
            "confusion_matrix",
            "recall",
            "as_of",
            "as_of_version",
            "window_date",
            "slice_key",
        ),
    ],
    "drift_metrics": [
        *(
            "window",
            "window_cmp",
            "granularity",
            "drift_type",
            "model_version",
            "column_name",
            "ks_test",
        ),
        *(
            "population_stability_index",
            "chi_squared_test",
            "non_null_columns_delta",
            "window_date",
            "adjusted_pvalue",
        ),
    ],
    "monitor": ["monitor_version", "configuration", "baseline", "recorded_at"],
    "counterfactual": [
        "window_date",
        "alternative",
        "n_labelled",
        "n_right",
        "n_right_otherwise",
        "trainings",
        "as_of",
    ],
    "decision": [
        "as_of",
        "action",
        "retrain",
        "reasons",
        "evidence",
        "change_at",
        "table_versions",
    ],
    "table_commit": [
        "table_name",
        "version",
        "at",
        "operation",
        "rows",
        "first_time",
        "last_file",
    ],
    "promotion": [
        "as_of",
        "action",
        "to_version",
        "evidence",
        "trained_from",
        "trained_rows",
        "recorded_at",
    ],
    "batch_metrics": [
        "query",
        "query_id",
        "batch_id",
        "outcome",
        "began_at",
        "seconds",
        "phase_seconds",
        "rows_in",
        "source_versions",
    ],
    "job_run": ["run_id", "pass", "job", "began_at", "ended_at", "outcome", "phase_seconds"],
}

NOTHING_TO_TELL = {"alert_event", "alert_delivery", "alert_silence", "rollout"}
"""Three quiet nights have no row of these; tests of their rooms read them as they are written."""


def _of_delta_rs(path: str, columns: list[str]) -> Rows:
    # Threads of pyarrow that have called delta-rs abort the process at its end.
    return DeltaTable(path).to_pyarrow_dataset().to_table(columns, use_threads=False).to_pylist()


def _of_pandas(path: str, columns: list[str]) -> Rows:
    frame = DeltaTable(path).to_pyarrow_dataset().to_table(columns, use_threads=False).to_pandas()
    assert isinstance(frame, pd.DataFrame)
    return frame.to_dict("records")


def _of_polars(path: str, columns: list[str]) -> Rows:
    return pl.scan_delta(path).select(columns).collect().to_dicts()


def _of_duckdb(path: str, columns: list[str]) -> Rows:
    names = ", ".join(f'"{name}"' for name in columns)
    with duckdb_ext.init(duckdb.connect()) as connection:
        found: pa.Table = connection.sql(
            f"SELECT {names} FROM delta_scan('{path}')"
        ).to_arrow_table()
        return found.to_pylist()


READERS: dict[str, Callable[[str, list[str]], Rows]] = {
    "delta-rs": _of_delta_rs,
    "pandas": _of_pandas,
    "polars": _of_polars,
    "duckdb": _of_duckdb,
}


def _alike(value: Any) -> Any:
    """The value as all of them mean it: maps are pairs in some; beside a missing one, pandas makes
    integers doubles.
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, dt.datetime):
        assert value.tzinfo is not None, "a moment without a zone"
        return value.astimezone(dt.UTC).isoformat()
    if isinstance(value, dict):
        return {key: _alike(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return _pairs(list(value))
    return value


def _pairs(items: list[Any]) -> Any:
    """A list, or the dictionary of a list of pairs."""
    if items and all(isinstance(item, tuple) for item in items):
        return {key: _alike(each) for key, each in items}
    if items and all(isinstance(item, dict) and set(item) == {"key", "value"} for item in items):
        return {item["key"]: _alike(item["value"]) for item in items}
    return [_alike(item) for item in items]


def _sorted(rows: Rows) -> list[str]:
    alike = [{name: _alike(value) for name, value in row.items()} for row in rows]
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in alike)


@pytest.fixture(scope="module")
def by_spark(three_nights: Lakehouse) -> dict[str, list[str]]:
    """What Spark reads of each table."""
    gold = (table for table in three_nights.catalog.tables if table.layer == "gold")
    tables = {table.name: table for table in gold if table.name not in NOTHING_TO_TELL}
    assert set(tables) == set(COLUMNS), "a table of gold that no reader is tried on"
    read = {
        name: three_nights.store.read(table).select(*COLUMNS[name]).toArrow()
        for name, table in tables.items()
    }
    return {name: _sorted(rows.to_pylist()) for name, rows in read.items()}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_without_spark_sees_what_spark_sees(
    reader: str, name: str, three_nights: Lakehouse, by_spark: dict[str, list[str]]
) -> None:
    found = _sorted(READERS[reader](f"{three_nights.store.root}/gold/{name}", COLUMNS[name]))
    assert len(found) == len(by_spark[name]) > 0
    assert found == by_spark[name]


@pytest.mark.parametrize("name", COLUMNS)
def test_gold_has_no_feature_that_a_plain_delta_reader_lacks(
    name: str, three_nights: Lakehouse
) -> None:
    path = Path(three_nights.store.root) / "gold" / name
    table = DeltaTable(path)
    protocol = table.protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
    assert not protocol.reader_features
    assert not protocol.writer_features
    properties = table.metadata().configuration
    assert "delta.columnMapping.mode" not in properties
    assert "delta.enableTypeWidening" not in properties
    assert properties.get("delta.enableDeletionVectors", "false") == "false"
    assert properties.get("delta.checkpointPolicy", "classic") == "classic"
    log = path / "_delta_log"
    actions = [
        json.loads(line) for file in log.glob("*.json") for line in file.read_text().splitlines()
    ]
    assert actions
    assert not [
        each
        for each in actions
        if (each.get("add") or each.get("remove") or {}).get("deletionVector")
    ]
    assert not [
        file.name for file in log.iterdir() if file.name == "_sidecars" or file.name.count(".") > 2
    ]
