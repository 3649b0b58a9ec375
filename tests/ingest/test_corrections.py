"""Labels that are told again with another value: rejected, or taken, with the metrics of the right
labels.
"""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from lakehouse.ingest.account import account
from lakehouse.ingest.dispositions import ACCEPTED, CORRECTION, DUPLICATE, with_corrections
from lakehouse.ingest.pipeline import ingest
from lakehouse.ingest.validation import CONFLICT
from lakehouse.labels.label_batch import labelled_readings, labels_in_force, latest_labels
from lakehouse.monitoring.aggregator import aggregate_kpis
from lakehouse.scoring.scorer import score
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.tables import Table
from tests.support.small_model import (
    Settings,
    at,
    is_ok,
    land_days,
    land_lines,
    model_of,
    readings,
    small_lakehouse,
    truths,
)
from tests.support.written import train

FIRST = range(120)
LATER = range(144, 264)
SOON, LATE = dt.timedelta(hours=1), dt.timedelta(hours=5)
COMPUTED_FROM = ("as_of_version", "logging_table_commit_version")


def take(settings: Settings) -> None:
    settings["labels"]["corrections"] = "take"


def wrong(number: int) -> str:
    return "broken" if is_ok(number) == "ok" else "ok"


def metrics(lakehouse: Lakehouse, table: Table) -> list[dict[str, Any]]:
    """The rows of a metric table but for what names the Delta versions that they were computed
    from.
    """
    rows = [
        {name: value for name, value in row.items() if name not in COMPUTED_FROM}
        for row in lakehouse.store.rows(table)
    ]
    return sorted(rows, key=lambda row: repr([row.get(key) for key in table.keys]))


def in_force(lakehouse: Lakehouse) -> dict[int, str]:
    return {row["id"]: row["y"] for row in labels_in_force(lakehouse).select("id", "y").collect()}


@pytest.fixture(scope="module")
def corrected(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """Wrong labels for a quarter of the rows, then one correction; for a few two, the second one
    back to the first.
    """
    lakehouse = small_lakehouse(spark, tmp_path_factory.mktemp("corrected") / "lake", take)
    with_first_model(lakehouse)
    amiss = [number for number in LATER if number % 4 == 0]
    fine = [number for number in LATER if number % 4]
    land_lines(lakehouse, "1", readings(LATER), truths(fine) + truths(amiss, wrong))
    ingest(lakehouse, AVAILABLE_NOW)
    score(lakehouse, AVAILABLE_NOW)
    aggregate_kpis(lakehouse, AVAILABLE_NOW)
    corrections = (
        truths(amiss, is_ok, LATE),
        truths(fine[:5], wrong, LATE) + truths(amiss, is_ok, LATE),
        truths(fine[:5], is_ok, 2 * LATE),
    )
    for number, labels in enumerate(corrections, start=2):
        land_lines(lakehouse, f"{number}", [], labels)
        ingest(lakehouse, AVAILABLE_NOW)
        aggregate_kpis(lakehouse, AVAILABLE_NOW)
    return lakehouse


def with_first_model(lakehouse: Lakehouse) -> None:
    """The labels of the first rows have come, and a model that was trained on them has predicted
    them.
    """
    land_days(lakehouse, "0", FIRST)
    ingest(lakehouse, AVAILABLE_NOW)
    train(lakehouse, at(FIRST[-1]) + SOON)
    score(lakehouse, AVAILABLE_NOW)
    aggregate_kpis(lakehouse, AVAILABLE_NOW)


def test_metrics_after_corrections_are_those_of_a_lakehouse_that_only_saw_the_right_labels(
    spark: SparkSession, corrected: Lakehouse, tmp_path: Path
) -> None:
    right = small_lakehouse(spark, tmp_path / "right", take)
    with_first_model(right)
    amiss = [number for number in LATER if number % 4 == 0]
    fine = [number for number in LATER if number % 4]
    told = truths(fine[5:]) + truths(amiss, is_ok, LATE) + truths(fine[:5], is_ok, 2 * LATE)
    land_lines(right, "1", readings(LATER), told)
    ingest(right, AVAILABLE_NOW)
    score(right, AVAILABLE_NOW)
    aggregate_kpis(right, AVAILABLE_NOW)
    for name in ("profile_metrics", "drift_metrics", "window_facts"):
        table = getattr(right.catalog, name)
        assert metrics(corrected, table) == metrics(right, table), name
    assert in_force(corrected) == in_force(right)
    assert labelled_readings(corrected) == labelled_readings(right) == len(FIRST) + len(LATER)


def test_every_label_stays_on_record_and_a_repetition_is_a_duplicate(
    corrected: Lakehouse,
) -> None:
    rows = corrected.store.rows(corrected.catalog.labels, columns=["id", "y", "is_correction"])
    assert sum(row["is_correction"] == 1 for row in rows) == 30 + 5 + 5
    assert sum(row["is_correction"] is None for row in rows) == len(FIRST) + len(LATER)
    twice = [row["y"] for row in rows if row["id"] == 145]
    assert sorted(twice) == sorted([is_ok(145), wrong(145), is_ok(145)])
    [labels] = [each for each in account(corrected) if each.source == "truth"]
    assert labels.places == {
        "silver": len(FIRST) + len(LATER) + 40,
        "duplicate": 30,
        "quarantined": 0,
    }
    assert (labels.unaccounted, labels.in_two_places) == (0, 0)


def test_a_rejected_correction_waits_in_quarantine_and_counts_nothing(
    spark: SparkSession, tmp_path: Path
) -> None:
    lakehouse = small_lakehouse(spark, tmp_path / "lake")
    land_days(lakehouse, "0", FIRST)
    ingest(lakehouse, AVAILABLE_NOW)
    before = lakehouse.store.version(lakehouse.catalog.labels)
    land_lines(lakehouse, "1", [], truths(range(10), wrong, LATE))
    ingest(lakehouse, AVAILABLE_NOW)
    assert in_force(lakehouse) == {number: is_ok(number) for number in FIRST}
    assert lakehouse.store.version(lakehouse.catalog.labels) == before
    reasons = [row["reasons"] for row in lakehouse.store.rows(lakehouse.catalog.quarantine)]
    assert reasons == 10 * [[f"id: {CONFLICT}"]]


def test_the_label_of_the_latest_label_time_counts_whichever_landed_first(
    spark: SparkSession, tmp_path: Path
) -> None:
    lakehouse = small_lakehouse(spark, tmp_path / "lake", take)
    land_lines(lakehouse, "0", readings(range(3)), truths(range(3), wrong, LATE))
    ingest(lakehouse, AVAILABLE_NOW)
    land_lines(lakehouse, "1", [], truths(range(3), is_ok, SOON))
    ingest(lakehouse, AVAILABLE_NOW)
    assert in_force(lakehouse) == {number: wrong(number) for number in range(3)}
    land_lines(
        lakehouse, "2", [], truths(range(1), is_ok, LATE)
    )  # told at the same moment: what landed last
    ingest(lakehouse, AVAILABLE_NOW)
    assert in_force(lakehouse)[0] == is_ok(0)


TOLD = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.sampled_from("ab")), min_size=1, max_size=12
)


@given(told=TOLD, cut=st.integers(0, 12))
def test_what_counts_does_not_depend_on_where_the_batches_are_cut(
    told: list[tuple[int, int, str]], cut: int
) -> None:
    """Every line is accepted, a correction, or says what an earlier line of its key said."""
    rows = pa.table(
        {
            "id": [key for key, _, _ in told],
            "told": pa.array([hour for _, hour, _ in told], pa.timestamp("us", "UTC")),
            "y": [label for *_, label in told],
            "source_file": ["a"] * len(told),
            "line": pa.array(range(len(told)), pa.int64()),
            "landed_file_id": pa.array([1] * len(told), pa.int64()),
        }
    )
    values = ["id", "told", "y"]
    whole = with_corrections(rows, rows.slice(0, 0), "id", values)
    first = with_corrections(rows.slice(0, cut), rows.slice(0, 0), "id", values)
    held = rows.slice(0, cut).filter(pa.array(np.isin(first, [ACCEPTED, CORRECTION])))
    rest = with_corrections(rows.slice(cut), held, "id", values)
    assert [*first, *rest] == whole.tolist()
    for place, (line, disposition) in enumerate(zip(told, whole, strict=True)):
        said = told[:place]
        known = line[0] in [key for key, _, _ in said]
        assert disposition == (DUPLICATE if line in said else CORRECTION if known else ACCEPTED)
    silver = rows.filter(pa.array(whole != DUPLICATE))
    counted = {row["id"]: row["y"] for row in latest_labels(silver, model_of(take)).to_pylist()}
    for key, label in counted.items():
        mine = [line for line in dict.fromkeys(told) if line[0] == key]
        latest = max(hour for _, hour, _ in mine)
        assert label == [each for _, hour, each in mine if hour == latest][-1]
