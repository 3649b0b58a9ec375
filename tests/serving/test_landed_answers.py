"""One request followed to its KPI: what was answered lands, is scored the same, and counts."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.ingest.pipeline import ingest
from lakehouse.monitoring.aggregator import aggregate_kpis
from lakehouse.scoring.scorer import score
from lakehouse.serving.serve import ServeOptions, opened_endpoint
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.verification.served import differing_answers
from tests.support import plain_delta
from tests.support.engines import alike, duckdb_of, duckdb_rows, known_to_spark, spark_rows
from tests.support.small_model import at, land_lines, readings, small_lakehouse, truths
from tests.support.written import A_DAY, told_at, train, write_labels, write_readings

ASKED = range(10 * A_DAY, 10 * A_DAY + 30)
VIEW = "SELECT * FROM gold.served_answer ORDER BY answered_at, request"


def answered(lakehouse: Lakehouse, *requests: list[dict]) -> list:
    """Each request's predictions; what lands has landed at the end."""
    root = lakehouse.store.root
    with opened_endpoint(
        root, lakehouse.model, lakehouse.environment, ServeOptions(), {}
    ) as endpoint:
        predict = endpoint.predictor.predict
        found = [asyncio.run(predict(rows)) for rows in requests]
    return [[answer.prediction for answer in each.answers] for each in found]


@pytest.fixture(scope="module")
def lakehouse(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """Version 1 of a day; thirty rows were asked about, five of them twice, one by the gateway
    too, and one again with another value.
    """
    lakehouse = small_lakehouse(spark, tmp_path_factory.mktemp("lake"))
    write_readings(lakehouse, range(A_DAY))
    write_labels(lakehouse, range(A_DAY))
    train(lakehouse, told_at(A_DAY - 1))
    rows = readings(ASKED)
    changed = {**rows[-1], "x": rows[-1]["x"] / 2}
    answered(lakehouse, *([row] for row in rows), rows[:5], [changed])
    land_lines(lakehouse, "gateway", rows[5:6], truths(ASKED))
    for step in (ingest, score, aggregate_kpis):
        step(lakehouse, AVAILABLE_NOW)
    return lakehouse


def test_each_answered_reading_has_one_production_prediction(lakehouse: Lakehouse) -> None:
    rows = lakehouse.store.rows(lakehouse.catalog.predictions)
    mine = [row["id"] for row in rows if row["id"] in ASKED]
    assert sorted(mine) == [*ASKED]
    duplicates = lakehouse.store.rows(lakehouse.catalog.duplicate)
    assert sorted(int(row["key"]) for row in duplicates) == [*ASKED[:6]]
    (conflict,) = lakehouse.store.rows(lakehouse.catalog.quarantine)
    assert json.loads(conflict["raw"])["id"] == ASKED[-1]


def test_the_view_shows_each_answer_beside_the_streams_in_both_engines(
    lakehouse: Lakehouse, spark: SparkSession
) -> None:
    root = lakehouse.store.root
    with known_to_spark(spark, root):
        found = spark_rows(spark, VIEW)
    assert alike(found) == alike(duckdb_rows(duckdb_of(root), VIEW))
    assert len(found) == len(ASKED) + 5
    assert {row["key"] for row in found} == {str(number) for number in ASKED}
    assert all(row["is_same"] and row["is_same_version"] for row in found)
    predictions = lakehouse.store.rows(lakehouse.catalog.predictions)
    scores = {str(row["id"]): row["score"] for row in predictions}
    assert [row["served_score"] for row in found] == [scores[row["key"]] for row in found]


def test_answered_rows_count_in_the_kpis_of_their_day(lakehouse: Lakehouse) -> None:
    rows = lakehouse.store.rows(lakehouse.catalog.profile_metrics)
    (day,) = [
        row
        for row in rows
        if row["column_name"] == ":table"
        and row["log_type"] == "INPUT"
        and row["slice_key"] is None
        and row["model_version"] == "1"
        and row["window"]
        and row["window"]["start"] == at(ASKED[0])
    ]
    assert (day["count"], day["n_labelled"]) == (len(ASKED), len(ASKED))


def test_a_second_pass_takes_nothing_in_again(lakehouse: Lakehouse) -> None:
    before = lakehouse.store.versions(lakehouse.catalog.readings, lakehouse.catalog.predictions)
    for step in (ingest, score):
        step(lakehouse, AVAILABLE_NOW)
    catalog = lakehouse.catalog
    assert lakehouse.store.versions(catalog.readings, catalog.predictions) == before
    assert list(Path(lakehouse.landing, "_served").glob("*.part")) == []


def test_verify_tells_of_an_answer_that_the_same_version_contradicts(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    assert differing_answers(lakehouse) == ""
    predictions, root = lakehouse.catalog.predictions, tmp_path / "copy"
    rows = lakehouse.store.rows(predictions)
    changed = [
        {**row, "prediction": "ok" if row["prediction"] == "broken" else "broken"}
        if row["id"] == ASKED[7]
        else row
        for row in rows
    ]
    shutil.copytree(lakehouse.store.root, root)
    shutil.rmtree(predictions.path_in(str(root)))
    plain_delta.create(root, predictions)
    plain_delta.replace_rows(root, predictions, changed)
    assert differing_answers(small_lakehouse(lakehouse.spark, root)) == (
        "1 answers differ from the prediction that the same version made"
    )
