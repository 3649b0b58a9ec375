"""A graph of 1,000 days: both engines find the same ancestors, and these are few."""

import datetime as dt
from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lakehouse.lineage.reading import Records, copy_records
from lakehouse.settings import load_model_settings
from lakehouse.sql.ancestry import ancestry_sql
from tests.support.engines import spark_rows

MODEL = load_model_settings("conf/glassware.yaml")
FIRST = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
DAYS, PERIOD = 1_000, 30
"""Each period a new version is trained on the rows of the period before it."""
READINGS, LABELS, PREDICTIONS = (
    "silver.sensor_reading",
    "silver.quality_check",
    "silver.predicted_quality",
)


def commits() -> Iterator[dict]:
    """A day's readings are scored the same night; its labels come two days later."""
    for day in range(DAYS):
        made, told = FIRST + day * DAY, FIRST + (day + 2) * DAY
        common = {"version": day, "at": told, "operation": "WRITE", "batch_id": day, "rows": 192}
        for name, file in (("sensor_reading", 2 * day + 1), ("quality_check", 2 * day + 2)):
            own = common | {"query_id": "ingest", "step": f"{name}:0"}
            yield own | {"table_name": f"bronze.{name}", "first_file": file, "last_file": file}
            first, last = (made, made + DAY * 0.99) if name == "sensor_reading" else (told, told)
            yield own | {"table_name": f"silver.{name}", "first_time": first, "last_time": last}
        yield common | {
            "table_name": PREDICTIONS,
            "query_id": "score",
            "first_time": made,
            "last_time": made + DAY * 0.99,
        }


def rows_of() -> dict[str, list[dict]]:
    """What is on record after 1,000 days."""
    files = [
        {
            "source": source,
            "source_file": f"{source}/{day}.jsonl",
            "landed_file_id": 2 * day + place,
        }
        | {"status": "landed", "lines": 192, "sha256": "ab"}
        for day in range(DAYS)
        for place, source in ((1, "sensor_reading"), (2, "quality_check"))
    ]
    ledger = [
        {"query_id": "score", "batch_id": day, "model_version": str(1 + day // PERIOD)}
        | {"table_versions": {READINGS: day}}
        for day in range(DAYS)
    ]
    decisions, promotions = [], []
    for number in range(1, DAYS // PERIOD + 1):
        as_of = FIRST + number * PERIOD * DAY
        day = number * PERIOD - 1
        read = {"gold.window_facts": day, LABELS: day, PREDICTIONS: day}
        decisions.append(
            {"as_of": as_of, "action": "retrain", "retrain": True, "decided_at": as_of}
            | {"model_version": str(number), "rule": "r", "reasons": ["it fell"], "evidence": {}}
            | {"table_versions": read, "read_from": as_of - PERIOD * DAY}
        )
        promotions.append(
            {"as_of": as_of, "action": "promote", "who": "loop", "recorded_at": as_of}
            | {"from_version": str(number), "to_version": str(number + 1), "reason": "better"}
            | {"evidence": {"rows": 100.0}, "run_id": f"{number + 1:032x}", "model_sha256": "cd"}
            | {"trained_from": as_of - PERIOD * DAY, "trained_to": as_of, "trained_rows": 5_000}
            | {"table_versions": {READINGS: day, LABELS: day}}
        )
    return {
        "landed_file": files,
        "table_commit": list(commits()),
        "scoring_ledger": ledger,
        "decision": decisions,
        "promotion": promotions,
    }


def _maps(rows: list[dict]) -> pa.Table:
    """Rows with their dictionaries as maps."""

    def typed(name: str) -> pa.Array:
        values = [row.get(name) for row in rows]
        given = next((value for value in values if value is not None), None)
        if not isinstance(given, dict):
            return pa.array(values)
        kind = pa.float64() if name == "evidence" else pa.int64()
        return pa.array([list(value.items()) for value in values], pa.map_(pa.string(), kind))

    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: typed(name) for name in names})


@pytest.fixture(scope="module")
def records() -> Iterator[Records]:
    rows = rows_of()
    with duckdb.connect() as connection:
        found = Records("/nowhere", MODEL, connection)
        copy_records(
            found, lambda table, _: _maps(rows[table.name]) if table.name in rows else None
        )
        yield found


def test_a_promotion_rests_on_its_period_not_on_all_days(records: Records):
    graph = records.ancestry("promotion/30")
    kinds = [node.kind for node in graph.nodes]
    files = {node.id for node in graph.nodes if node.kind == "file"}
    as_of = 29 * PERIOD
    # Version 30 was trained on days 840 to 869, version 29, which it is compared with, on those
    # from 810 on: a file of each source and day, and of labels those that had come.
    readings = {f"file/{2 * day + 1}" for day in range(as_of - 2 * PERIOD, as_of)}
    assert {file for file in files if int(file.split("/")[1]) % 2} == readings
    assert kinds.count("model") == 2
    assert len(graph.nodes) < 1_000


def test_the_ancestors_are_those_of_a_walk_by_hand(records: Records):
    edges: dict[str, list[dict]] = {}
    for edge in records.rows("SELECT * FROM gold.lineage WHERE relation <> 'newest part of'"):
        edges.setdefault(edge["to_id"], []).append(edge)
    own = [row for row in commits() if not row["table_name"].startswith("bronze")]
    graph = records.ancestry("promotion/30")
    found, waiting = set(), [(graph.of, None, None)]
    while waiting:
        node, start, end = waiting.pop()
        found.add(node)
        waiting += [
            (edge["from_id"], edge["rows_from"], edge["rows_to"])
            for edge in edges.get(node, ())
            if edge["from_id"] not in found or "@" in edge["from_id"]
        ]
        name, _, version = node.partition("@")
        for row in own if version else ():
            in_time = (start is None or row["last_time"] >= start) and (
                end is None or row["first_time"] <= end
            )
            part = f"{name}#{row['version']}"
            if row["table_name"] == name and row["version"] <= int(version) and in_time:
                waiting += [] if part in found else [(part, None, None)]
    assert found == {node.id for node in graph.nodes}


def test_spark_finds_the_same_ancestors(spark: SparkSession, records: Records):
    (node,) = records.connection.sql(
        "SELECT MAX(to_id) FROM gold.lineage WHERE to_kind = 'promotion'"
    ).fetchall()
    names = "from_kind, from_id, to_kind, to_id, relation, rows_from, rows_to"
    for name, sql in (
        ("edges", f"SELECT {names} FROM gold.lineage"),
        (
            "commits",
            "SELECT table_name, version, rows, first_time, last_time FROM gold.table_commit",
        ),
    ):
        rows = records.connection.sql(sql).to_arrow_table()
        spark.createDataFrame(rows).coalesce(1).cache().createOrReplaceTempView(name)
    query = ancestry_sql("promotion", node[0], "edges", "commits")
    found = {row["id"] for row in spark_rows(spark, query)}
    assert found == {each.id for each in records.ancestry(node[0]).nodes}
    assert found == records.ancestor_ids()
    assert len(found) > 300


def test_ten_thousand_files_of_a_night_are_one_node_and_each_is_still_an_ancestor():
    rows, many = rows_of(), 10_000
    rows["landed_file"] = [
        {"source": "sensor_reading", "source_file": f"sensor_reading/{number}.jsonl"}
        | {"landed_file_id": number, "status": "landed", "lines": 7, "sha256": "ab"}
        for number in range(many)
    ]
    first = {"first_file": 0, "last_file": many - 1}
    rows["table_commit"] = [
        row | (first if row["table_name"] == "bronze.sensor_reading" and not row["version"] else {})
        for row in rows["table_commit"]
    ]
    with duckdb.connect() as connection:
        found = Records("/nowhere", MODEL, connection)
        copy_records(
            found, lambda table, _: _maps(rows[table.name]) if table.name in rows else None
        )
        graph = found.ancestry("model/2")
        (files,) = (node for node in graph.nodes if node.kind == "file" and node.count > 1)
        assert (files.id, files.count) == ("file/0 … file/9999", many)
        assert files.facts["rows"] == "70,000"
        assert {f"file/{number}" for number in range(many)} <= found.ancestor_ids()
        assert len(graph.nodes) < 300
