"""A cost matrix from labels to gold: the money of a window is that of its rows."""

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from lakehouse.settings.costs import COST_METRIC
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.tables import Table
from tests.support.small_model import Settings
from tests.support.written import a_day_of_second, second_version

COSTS = {("ok", "broken"): 40.0, ("broken", "ok"): 2.5, ("broken", "broken"): -1.0}


def with_costs(settings: Settings) -> None:
    cells = [
        {"predicted": predicted, "label": label, "cost": cost}
        for (predicted, label), cost in COSTS.items()
    ]
    settings["costs"] = {"currency": "EUR", "cells": cells}


@pytest.fixture(scope="module")
def lakehouse(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    """Two versions have predicted, and not all labels have come. To be read alone."""
    found = second_version(spark, tmp_path_factory.mktemp("costs") / "lake", with_costs)
    a_day_of_second(found)
    return found


def frame_of(lakehouse: Lakehouse, table: Table) -> pd.DataFrame:
    return lakehouse.store.arrow(table).to_pandas()


def test_the_money_of_each_day_and_version_is_that_of_its_labelled_rows(
    lakehouse: Lakehouse,
) -> None:
    catalog = lakehouse.catalog
    rows = frame_of(lakehouse, catalog.predictions).merge(
        frame_of(lakehouse, catalog.labels), "left", "id"
    )
    pairs = zip(rows["prediction"], rows["y"], strict=True)
    rows["cost"] = [COSTS.get(pair, 0.0) if pd.notna(pair[1]) else None for pair in pairs]
    rows["day"] = rows["at"].dt.floor("D")
    by_version = rows.groupby(["day", "model_version"])["cost"].mean()
    expected = {("*", day): cost for day, cost in rows.groupby("day")["cost"].mean().items()}
    expected |= {(version, day): cost for (day, version), cost in by_version.items()}
    found = {
        (row["model_version"], pd.Timestamp(row["window"]["start"])): row[COST_METRIC]
        for row in lakehouse.store.rows(catalog.profile_metrics)
        if (row["log_type"], row["granularity"]) == ("INPUT", "1 day")
        and row["column_name"] == ":table"
        and row["slice_key"] is None
    }
    told = {key: None if pd.isna(cost) else 1_000 * cost for key, cost in expected.items()}
    assert found == {key: pytest.approx(cost) for key, cost in told.items()}
    assert len({cost for cost in found.values() if cost is not None}) > 4
    assert None in found.values()  # a day without labels
