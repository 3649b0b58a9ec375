"""Values that a model cannot take, or has never seen: they cost their own row at most, in
each job.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from lakehouse.app.whole_way import run_pipeline
from lakehouse.ingest.account import account
from lakehouse.ingest.pipeline import ingest
from lakehouse.models import dump
from lakehouse.scoring.scorer import score
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.versions.ledger import PromotionLedger
from tests.support.small_model import (
    Settings,
    land_lines,
    measured,
    readings,
    small_lakehouse,
    truths,
)
from tests.support.written import replace_model_file, told_at, train, write_labels, write_readings

MANY = [f"w{place:02}" for place in range(36)]
LONG_TEXT = 10_000 * "ü"
BEYOND_DOUBLES = 2**53 + 1
GREATEST_FLOAT32 = 3.4028234e38


def of_all_kinds(settings: Settings) -> None:
    """Forty features, of every type; the key is text, and stands behind them in the tables."""
    columns: Settings = {name: {"type": "double", "nullable": True} for name in MANY}
    columns |= {
        "flag": {"type": "boolean", "nullable": True},
        "kind": {"type": "string", "nullable": True},
    }
    columns |= {"count": {"type": "long", "nullable": True}}
    own = settings["readings"]["columns"]
    settings["readings"]["columns"] = columns | own | {"id": {"type": "string"}}
    settings["labels"]["columns"]["id"] = {"type": "string"}
    settings["predictions"]["features"] = ["x", *MANY, "flag", "kind", "count"]
    settings["training"]["families"]["logistic_regression"] = {"C": [1.0]}


def of_a_number(settings: Settings) -> None:
    """A linear regression."""
    settings["labels"]["columns"]["y"] = {"type": "double"}
    settings["predictions"] |= {"features": ["x"], "problem_type": "regression", "tolerance": 0.1}
    settings["training"]["families"] = {"ridge_regression": {"alpha": [1e-3]}}


def with_text_keys(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line | {"id": f"{line['id']:06}{LONG_TEXT}"} for line in lines]


@pytest.fixture(scope="module")
def lakehouse(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """Its model has seen neither a truth value nor a category nor the most of a column; then come
    all of them.
    """
    lakehouse = small_lakehouse(spark, tmp_path_factory.mktemp("odd") / "lake", of_all_kinds)
    first = readings(range(130), w00=0.5, count=lambda number: number % 7)
    land_lines(lakehouse, "0", with_text_keys(first), with_text_keys(truths(range(130))))
    run_pipeline(lakehouse)
    assert PromotionLedger(lakehouse).champion == "1"
    odd: list[dict[str, Any]] = [
        {"flag": True},
        {"flag": False, "kind": LONG_TEXT},
        {"count": BEYOND_DOUBLES},
        {"count": -(2**63)},
        {"x": GREATEST_FLOAT32, "w01": -GREATEST_FLOAT32},
        {"x": 3.5e38},
        {"w35": -1.7e308},
        {"x": 5e-324, "w00": -0.0},
    ]
    numbers = range(144, 144 + len(odd))
    lines = [line | values for line, values in zip(readings(numbers), odd, strict=True)]
    land_lines(lakehouse, "1", with_text_keys(lines), with_text_keys(truths(numbers)))
    run_pipeline(lakehouse)
    return lakehouse


def test_each_odd_value_costs_its_own_row_at_most(lakehouse: Lakehouse) -> None:
    of_readings, of_labels = account(lakehouse)
    assert of_readings.places == {"silver": 136, "duplicate": 0, "quarantined": 2}
    assert of_readings.followed == {"scored": 136, "waiting for a model": 0}
    assert of_labels.places["silver"] == 138
    reasons = [row["reasons"] for row in lakehouse.store.rows(lakehouse.catalog.quarantine)]
    assert sorted(reasons) == [
        ["w35: beyond float32, which models compute in"],
        ["x: beyond float32, which models compute in"],
    ]


def test_whole_numbers_and_text_are_kept_to_the_last_digit_and_letter(lakehouse: Lakehouse) -> None:
    rows = lakehouse.store.rows(lakehouse.catalog.readings, columns=["id", "count", "kind"])
    assert {BEYOND_DOUBLES, -(2**63)} <= {row["count"] for row in rows}
    assert LONG_TEXT in {row["kind"] for row in rows}
    assert {len(row["id"]) for row in rows} == {6 + len(LONG_TEXT)}


def test_the_metrics_of_such_a_day_are_there(lakehouse: Lakehouse) -> None:
    rows = lakehouse.store.rows(lakehouse.catalog.profile_metrics)
    newest = max(row["window"]["start"] for row in rows if row["window"])
    of_day = {
        row["column_name"]: row
        for row in rows
        if row["window"] and row["window"]["start"] == newest
    }
    assert {"x", "flag", "kind", "count", *MANY} <= set(of_day)
    assert of_day["x"]["max"] == GREATEST_FLOAT32
    assert of_day[":table"]["n_labelled"] == 6


def test_a_reading_without_a_finite_prediction_is_set_aside_and_the_others_are_scored(
    spark: SparkSession, tmp_path: Path
) -> None:
    lakehouse = small_lakehouse(spark, tmp_path / "lake", of_a_number)
    write_readings(lakehouse, range(130))
    write_labels(lakehouse, range(130), lambda number: measured(number)[0])
    train(lakehouse, told_at(129))
    score(lakehouse, AVAILABLE_NOW)
    # A linear model's sum leaves the doubles where its input is great enough.
    model = PromotionLedger(lakehouse).load("1")
    model[-1].coef_ = np.array([1e300])
    lakehouse = replace_model_file(lakehouse, "1", dump(model))
    great = readings([146], x=1e38)
    land_lines(lakehouse, "1", [*readings([144, 145]), *great, *readings([147])], [])
    ingest(lakehouse, AVAILABLE_NOW)
    score(lakehouse, AVAILABLE_NOW)
    predicted = lakehouse.store.rows(lakehouse.catalog.predictions, columns=["id"])
    assert sorted(row["id"] for row in predicted) == [*range(130), 144, 145, 147]
    [row] = lakehouse.store.rows(lakehouse.catalog.unscorable)
    assert (row["key"], row["source_file"], row["line"], row["model_version"]) == (
        "146",
        "reading/1.jsonl",
        2,
        "1",
    )
    before = lakehouse.store.versions(lakehouse.catalog.predictions, lakehouse.catalog.unscorable)
    score(lakehouse, AVAILABLE_NOW)
    assert (
        lakehouse.store.versions(lakehouse.catalog.predictions, lakehouse.catalog.unscorable)
        == before
    )
    # From a new checkpoint the stream reads all of silver again.
    shutil.rmtree(lakehouse.store.checkpoint("score"))
    score(lakehouse, AVAILABLE_NOW)
    assert lakehouse.store.count(lakehouse.catalog.unscorable) == 1
    assert lakehouse.store.count(lakehouse.catalog.predictions) == 133
