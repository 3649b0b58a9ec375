"""The shape that others query: each of these asks for columns as published queries do (addresses
stand in them).
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.storage.lakehouse import Lakehouse

QUERIES = sorted(Path("tests/data/published_queries").glob("*.sql"))


@pytest.fixture(scope="module")
def monitored(spark: SparkSession, three_nights: Lakehouse) -> Iterator[SparkSession]:
    """A session in which the metric tables have a name that a monitor would give, and another model
    id column too.
    """
    for table in (three_nights.catalog.profile_metrics, three_nights.catalog.drift_metrics):
        rows = three_nights.store.read(table)
        rows.withColumn("model_id", rows["model_version"]).createOrReplaceTempView(
            f"monitored_{table.name}"
        )
    yield spark
    for name in ("profile_metrics", "drift_metrics"):
        spark.catalog.dropTempView(f"monitored_{name}")


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_a_query_of_the_published_shape_runs_as_it_is(path: Path, monitored: SparkSession) -> None:
    text = path.read_text(encoding="utf-8")
    head = dict(
        line.removeprefix("-- ").split(": ", 1)
        for line in text.splitlines()
        if line.startswith("-- ")
    )
    assert head["After"].startswith("https://")
    found = monitored.sql(text).toArrow()
    assert {
        "rows": found.num_rows > 0,
        "no rows": found.num_rows == 0,
        "1 row": found.num_rows == 1,
    }[head["Expect"]]
    always_empty = {
        "root_mean_squared_error",
        "percent_nan",
    }  # of regression; of columns that allow NaN
    if found.num_rows > 0:
        empty = {name for name in found.column_names if found[name].null_count == found.num_rows}
        assert empty - always_empty == set()
