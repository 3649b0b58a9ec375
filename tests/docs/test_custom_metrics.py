"""docs/custom-metrics.md: its example gives the output that stands there, and its refusals are what
is said.
"""

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakehouse.errors import ConfigurationError
from lakehouse.monitoring.custom.check import check_custom_metrics
from lakehouse.monitoring.custom.definitions import (
    partials_column,
    with_custom_drift,
    with_custom_metrics,
)
from lakehouse.monitoring.partials import as_partials
from lakehouse.settings import CustomMetricSettings
from tests.monitoring.custom.test_custom_metrics import check, context, metric

PAGE = Path("docs/custom-metrics.md").read_text()
ROWS = "process_time timestamp, temp double, pressure double, prediction int, quality int"


def rows_below(header: str) -> list[list[str]]:
    """The cells of the Markdown table with that header."""
    table = PAGE[PAGE.index(header) :].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]


def pieces() -> list[tuple[Any, ...]]:
    kinds = (
        lambda text: dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC),
        float,
        float,
        int,
        int,
    )
    cells = rows_below("| process_time | temp |")
    return [
        tuple(kind(cell) if cell else None for kind, cell in zip(kinds, row, strict=True))
        for row in cells
    ]


def as_text(rows: list[dict[str, Any]]) -> list[str]:
    names = [
        "day",
        "column_name",
        "cost_of_errors",
        "squared_avg",
        "root_mean_square",
        "cost_delta",
    ]
    widths = [12, 13, 16, 13, 18, 0]
    cells = [
        [str(round(v, 4)) if isinstance(v, float) else v or "" for v in (row[n] for n in names)]
        for row in rows
    ]
    return [
        "".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [names, *cells]
    ]


def test_the_example_gives_the_output_that_stands_there(spark: SparkSession) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    settings = [CustomMetricSettings(**each) for each in yaml.safe_load(block)["metrics"]["custom"]]
    custom = check_custom_metrics(spark, settings, context(ROWS, "quality", "temp", "pressure"))
    days = spark.createDataFrame(pieces(), ROWS).groupBy(F.to_date("process_time").alias("day"))
    facts = {
        row["day"]: row["custom"]
        for row in days.agg(partials_column(custom).alias("custom")).collect()
    }

    keys = [
        {"day": day, "column_name": name}
        for day in sorted(facts)
        for name in (":table", "temp", "pressure")
    ]
    profile = with_custom_metrics(spark, keys, lambda row: as_partials(facts[row["day"]]), custom)
    found = {(row["day"], row["column_name"]): row for row in profile}

    def compared(row: Any) -> tuple[Any, Any]:
        return row, found.get((row["day"] - dt.timedelta(days=1), row["column_name"]))

    rows = [
        {**row, "day": str(row["day"])}
        for row in with_custom_drift(spark, profile, compared, custom)
    ]
    (shown,) = re.findall(r"```text\n(.*?)\n```", PAGE, re.DOTALL)
    assert as_text(rows) == shown.splitlines()


def test_the_refusals_are_what_is_said(spark: SparkSession) -> None:
    shown = rows_below("| you write | it says |")
    with pytest.raises(ConfigurationError) as error:
        check(spark, *(metric("m", text.strip("`")) for text, _ in shown))
    assert str(error.value).splitlines() == [sentence for _, sentence in shown]
