"""The view of answers over tables on disk, by DuckDB, without Spark."""

import datetime as dt
import json

from tests.support import plain_delta
from tests.support.engines import duckdb_of, duckdb_rows
from tests.support.served import READING

NOW = dt.datetime(2024, 3, 2, tzinfo=dt.UTC)


def line(number, pid, folder="sensor_reading/served", **answer):
    told = {"request": f"a-{number}", "at": NOW.isoformat(), "version": "1", "score": 0.25}
    raw = json.dumps({**READING, "pid": pid, "_served": {**told, "prediction": 1, **answer}})
    place = {"source_file": f"{folder}/x.jsonl", "line": number, "landed_file_id": 1}
    return {"raw": raw, **place}


def test_each_answer_stands_beside_the_streams_prediction_of_its_key(tmp_path):
    catalog = plain_delta.lakehouse_at(tmp_path)
    lines = [
        line(0, 7),
        line(1, 8),
        line(2, 9, version="2"),
        line(3, 10, prediction=None),
        line(4, 7, prediction=0),  # asked for again: a duplicate
        line(5, 11, folder="sensor_reading/gateway"),  # nobody's answer
        line(6, 12),  # quarantined
    ]
    keys = {0: 7, 1: 8, 2: 9, 3: 10, 5: 11}
    readings = [{"pid": pid, "landed_file_id": 1, "line": place} for place, pid in keys.items()]
    again = {"source": "sensor_reading", "key": "7", "landed_file_id": 1, "line": 4}
    predicted = [
        {"pid": pid, "prediction": 1, "model_version": "1"} for pid in (7, 9, 10, 11)
    ]  # 8 waits
    for table, rows in (
        (catalog.bronze_readings, lines),
        (catalog.readings, readings),
        (catalog.duplicate, [again]),
        (catalog.predictions, predicted),
    ):
        plain_delta.replace_rows(tmp_path, table, rows)
    shown = "key, served_version, served_prediction, served_score, is_same, is_same_version"
    query = f"SELECT {shown} FROM gold.served_answer ORDER BY request"
    found = [tuple(row.values()) for row in duckdb_rows(duckdb_of(str(tmp_path)), query)]
    assert found == [
        ("7", "1", 1, 0.25, True, True),
        ("8", "1", 1, 0.25, None, None),
        ("9", "2", 1, 0.25, True, False),
        ("10", "1", None, 0.25, None, True),
        ("7", "1", 0, 0.25, False, True),
    ]
