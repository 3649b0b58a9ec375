"""Custom metrics the whole way: rows, partials of hours, merged windows, metrics; against Spark
over the raw rows.
"""

import datetime as dt
import math
import random
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from lakehouse.monitoring.custom.check import MetricContext, check_custom_metrics
from lakehouse.monitoring.custom.definitions import (
    CustomMetrics,
    partials_column,
    with_custom_drift,
    with_custom_metrics,
)
from lakehouse.monitoring.partials import as_partials, merge_partials
from lakehouse.settings import CustomMetricSettings, load_model_settings
from lakehouse.tables import catalog_of
from tests.support.rows import moment

CATALOG = catalog_of(load_model_settings("conf/glassware.yaml"))
ROWS = (
    "pid bigint, process_time timestamp, temp double, pressure double, n int, grade string, weight "
    "double, "
    "critical boolean, prediction int, score double, model_version string, quality int"
)
DOCUMENTED = "f1 double, f2 double, critical boolean, prediction int, label int"
DAYS = [moment("2024-02-28T00:00:00"), moment("2024-02-29T00:00:00"), moment("2024-03-01T00:00:00")]
EMPTY_HOURS = (3, 4, 5, 17)


def metric(
    name: str, definition: str, kind: str = "aggregate", **given: Any
) -> CustomMetricSettings:
    settings = {
        "input_columns": [":table"],
        "output_data_type": "double",
        "name": name,
        "type": kind,
    }
    return CustomMetricSettings.model_validate(settings | {"definition": definition} | given)


def context(rows: str, label: str, *monitored: str) -> MetricContext:
    return MetricContext(
        StructType.fromDDL(rows),
        "prediction",
        label,
        monitored,
        CATALOG.profile_metrics.schema,
    )


def check(spark: SparkSession, *metrics: CustomMetricSettings) -> CustomMetrics:
    return check_custom_metrics(
        spark, metrics, context(ROWS, "quality", "temp", "pressure", "n", "grade")
    )


def random_rows(seed: int, n: int) -> list[tuple[Any, ...]]:
    """Rows of three days without some hours; nulls everywhere, NaN on the second day only, no label
    on the third.
    """
    chance = random.Random(seed)

    def maybe(value: Any) -> Any:
        return None if chance.random() < 0.1 else value

    def row(pid: int) -> tuple[Any, ...]:
        day, hour = (
            chance.choice(DAYS),
            chance.choice([each for each in range(24) if each not in EMPTY_HOURS]),
        )
        temp = math.nan if day == DAYS[1] and chance.random() < 0.05 else chance.gauss(-3, 50)
        return (
            pid,
            day + dt.timedelta(hours=hour, seconds=chance.randrange(3600)),
            maybe(temp),
            maybe(float(chance.randrange(-2, 3))),  # often 0: a divisor that Spark refuses
            maybe(chance.randrange(-90_000, 90_000)),  # its square is no int
            maybe(chance.choice(["a", "b", "it's"])),
            chance.expovariate(1),
            maybe(chance.random() < 0.3),
            chance.randrange(2),
            chance.random(),
            chance.choice("12"),
            None if day == DAYS[2] else maybe(chance.randrange(2)),
        )

    return [row(pid) for pid in range(n)]


# The definition, and what Spark is asked over the raw rows; None where that is the same.
AGGREGATES: dict[str, tuple[str, str | None]] = {
    "weighted_error": (
        "avg(CASE WHEN {{prediction_col}} = {{label_col}} THEN 0 ELSE weight END)",
        None,
    ),
    "error": (
        "count_if(prediction != quality) / count(quality)",
        "try_divide(count_if(prediction != quality), count(quality))",
    ),
    "total": ("sum(temp)", None),
    "squares": ("avg(n * n)", "avg(CAST(n AS DOUBLE) * n)"),
    "ratio": (
        "sum(temp / pressure) / sum(pressure)",
        "sum(try_divide(temp, pressure)) / nullif(sum(pressure), 0)",
    ),
    "nested": (
        "avg(temp / (1 / pressure)) + sum(n) / (1 / count(quality))",
        "avg(try_divide(temp, try_divide(1, pressure))) + try_divide(sum(n), try_divide(1, "
        "count(quality)))",
    ),
    "remainder": (
        "sum(n % 7) + sum(n div 3) - sum(mod(n, pressure)) + sum(pmod(n, 5))",
        "sum(n % 7) + sum(n div 3) - sum(try_mod(n, pressure)) + sum(pmod(n, 5))",
    ),
    "huge": ("avg(n * 100000000000000)", None),  # their sum is no long
    "text": ("sum(grade) IS NULL", "true"),  # Spark would raise an error: none is a number
    "order": ("1 / min(n) + abs(avg(temp))", None),
    "least": ("min(temp)", None),
    "greatest": ("max(temp)", None),
    "spread": ("max(pressure) - min(pressure)", None),
    "either": (
        "CAST(bool_or(critical AND grade = 'a') AS INT) + CAST(any(critical) AND some(n > 0) AS "
        "INT)",
        None,
    ),
    "every": (
        "CAST(every(n > -80000) AS INT) + 2 * CAST(bool_and(critical) AS INT) + 4 * CAST(every(n < "
        "90000) AS INT)",
        None,
    ),
    "rows": ("count(*) + count(1) + count(grade, n)", None),
    "filtered": (
        "avg(temp) FILTER (WHERE critical) - sum(n) FILTER (WHERE grade = 'it\\'s') / count(*)",
        None,
    ),
    "decimals": (
        "avg(CASE WHEN critical THEN 0.25 WHEN grade = 'b' THEN 0.1 END) + sum(0.1)",
        None,
    ),
    "average": ("mean(n) * count(n)", None),
    "kept": ("coalesce(sum(temp) FILTER (WHERE pressure > 100), -1)", None),  # NULL in every hour
    "cast": (
        "sum(CAST(grade AS INT)) IS NULL AND count_if(process_time >= timestamp '2024-02-29') = 0",
        "NOT max(process_time) >= timestamp '2024-02-29'",
    ),
    "logged": ("log10(1.5D + sum(abs(pressure)))", None),
    "absent": ("avg(quality)", None),  # no value on the third day
}
OUTPUTS = {"rows": "long", "either": "integer", "cast": "boolean", "text": "boolean"}


@pytest.fixture(scope="module")
def raw(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(random_rows(7, 3_000), ROWS).cache()


@pytest.fixture(scope="module")
def checked(spark: SparkSession) -> CustomMetrics:
    metrics = [
        metric(name, definition, output_data_type=OUTPUTS.get(name, "double"))
        for name, (definition, _) in AGGREGATES.items()
    ]
    return check(spark, *metrics)


@pytest.fixture(scope="module")
def windows(
    raw: DataFrame, checked: CustomMetrics
) -> dict[tuple[Any, str], Mapping[str, float | None]]:
    """The partials of each day and version, and of all versions, merged from those of hours."""
    hour = F.date_trunc("hour", "process_time").alias("hour")
    hours = (
        raw.groupBy(hour, "model_version")
        .agg(partials_column(checked).alias("custom"))
        .toArrow()
        .to_pylist()
    )
    assert len(hours) == 3 * 20 * 2
    merged: dict[tuple[Any, str], list[Mapping[str, float | None]]] = {}
    for row in hours:
        for version in (row["model_version"], "*"):
            day = row["hour"].replace(hour=0)
            merged.setdefault((day, version), []).append(as_partials(row["custom"]))
    return {key: reduce(merge_partials, parts) for key, parts in merged.items()}


def assert_same(found: Any, expected: Any, where: Any) -> None:
    if isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True), where
    else:
        assert (found, type(found)) == (expected, type(expected)), where


def test_days_merged_from_hours_are_what_spark_computes_over_the_raw_day(
    spark: SparkSession,
    raw: DataFrame,
    checked: CustomMetrics,
    windows: Mapping[Any, Mapping[str, float | None]],
) -> None:
    names = {"{{prediction_col}}": "prediction", "{{label_col}}": "quality"}
    kinds = {"double": "double", "long": "bigint", "integer": "int", "boolean": "boolean"}
    texts = {name: same or definition for name, (definition, same) in AGGREGATES.items()}
    for template, name in names.items():
        texts = {key: text.replace(template, name) for key, text in texts.items()}
    sums = [
        F.expr(text).cast(kinds[OUTPUTS.get(name, "double")]).alias(name)
        for name, text in texts.items()
    ]
    day = F.date_trunc("day", "process_time").alias("day")
    scratch = [
        *raw.groupBy(day, "model_version").agg(*sums).collect(),
        *raw.groupBy(day).agg(*sums).collect(),
    ]

    rows = [{"column_name": ":table", "key": key} for key in windows]
    filled = with_custom_metrics(spark, rows, lambda row: windows[row["key"]], checked)

    found = {row["key"]: row for row in filled}
    assert len(scratch) == len(found) == 9
    for expected in (row.asDict() for row in scratch):
        key = expected["day"].replace(tzinfo=dt.UTC), expected.get("model_version", "*")
        for name in texts:
            assert_same(found[key][name], expected[name], (key, name))


def test_the_data_of_that_proof_has_what_could_go_wrong(
    windows: Mapping[Any, Any], checked: CustomMetrics
) -> None:
    def partials(day: int, name: str) -> list[float | None]:
        return [
            value for key, value in windows[DAYS[day], "*"].items() if key.startswith(f"{name}.")
        ]

    assert partials(2, "absent") == [None, 0.0]
    assert math.isnan(partials(1, "total")[0] or 0)
    assert math.isnan(partials(1, "greatest")[0] or 0)
    assert not math.isnan(partials(1, "least")[0] or 0)
    assert not math.isnan(partials(0, "total")[0] or 0)
    assert len({key for keys in windows.values() for key in keys}) == len(checked.partials)


DOUBLE = '{"name":"output","type":"double","nullable":true,"metadata":{}}'
ROW_VALUES = [
    # f1, f2, critical, prediction, label
    (3.0, 1.0, True, 1, 1),  # right: 0
    (-4.0, 2.0, True, 1, 0),  # wrong and critical: 2
    (None, 6.0, False, 0, 1),  # wrong: 1; f1 leaves f2 alone
    (0.0, -2.0, False, 0, None),  # neither right nor wrong yet: 1, as the definition says
]


def documented() -> list[CustomMetricSettings]:
    """The examples of Databricks' documentation of custom metrics, with its spelling of types."""
    error = """avg(CASE
      WHEN {{prediction_col}} = {{label_col}} THEN 0
      WHEN {{prediction_col}} != {{label_col}} AND critical=TRUE THEN 2
      ELSE 1 END)"""
    of_each = {"input_columns": ["f1", "f2"], "output_data_type": DOUBLE}
    square = "avg(`{{input_column}}`*`{{input_column}}`)"
    delta = "{{current_df}}.weighted_error - {{base_df}}.weighted_error"
    aggregate, derived, drift = (
        f"CUSTOM_METRIC_TYPE_{each}" for each in ("AGGREGATE", "DERIVED", "DRIFT")
    )
    return [
        metric("error_rate_delta", delta, drift, output_data_type=DOUBLE),
        metric("root_mean_square", "sqrt(squared_avg)", derived, **of_each),  # before what it reads
        metric("squared_avg", square, aggregate, **of_each),
        metric("avg_diff_f1_f2", "avg(f1 - f2)", aggregate, output_data_type=DOUBLE),
        metric("weighted_error", error, aggregate, output_data_type=DOUBLE),
    ]


def profile(
    spark: SparkSession,
    custom: CustomMetrics,
    values: Sequence[tuple[Any, ...]],
    columns: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """The profile rows of one window, by column."""
    frame = spark.createDataFrame(values, DOCUMENTED)
    (found,) = frame.agg(partials_column(custom).alias("custom")).toArrow().to_pylist()
    rows = [{"column_name": column, "kept": 1} for column in columns]
    filled = with_custom_metrics(spark, rows, lambda _: as_partials(found["custom"]), custom)
    return {row["column_name"]: row for row in filled}


@pytest.fixture(scope="module")
def examples(spark: SparkSession) -> CustomMetrics:
    return check_custom_metrics(
        spark, documented(), context(DOCUMENTED, "label", "f1", "f2", "critical")
    )


def test_databricks_examples_fill_the_rows_of_their_input_columns(
    spark: SparkSession, examples: CustomMetrics
) -> None:
    found = profile(spark, examples, ROW_VALUES, [":table", "f1", "f2", "critical"])
    empty = {
        "kept": 1,
        "squared_avg": None,
        "root_mean_square": None,
        "avg_diff_f1_f2": None,
        "weighted_error": None,
    }
    assert found == {
        ":table": empty
        | {"column_name": ":table", "weighted_error": 1.0, "avg_diff_f1_f2": -2 / 3},
        "f1": empty
        | {"column_name": "f1", "squared_avg": 25 / 3, "root_mean_square": math.sqrt(25 / 3)},
        "f2": empty
        | {"column_name": "f2", "squared_avg": 11.25, "root_mean_square": math.sqrt(11.25)},
        "critical": empty | {"column_name": "critical"},
    }


def test_databricks_drift_example_compares_the_table_rows_of_two_windows(
    spark: SparkSession, examples: CustomMetrics
) -> None:
    before, now = (profile(spark, examples, ROW_VALUES[:n], [":table"])[":table"] for n in (2, 4))
    rows = [
        {"column_name": ":table", "of": (now, before)},
        {"column_name": "f1", "of": (now, before)},  # no row of its input columns
        {"column_name": ":table", "of": (now, None)},  # a baseline without rows
        {"column_name": ":table", "of": (None, before)},
    ]
    found = with_custom_drift(spark, rows, lambda row: row["of"], examples)
    assert [row["error_rate_delta"] for row in found] == [1.0 - 1.0, None, None, None]
    assert [{**row, "error_rate_delta": None} for row in found] == [
        {**row, "error_rate_delta": None} for row in rows
    ]


def test_a_drift_metric_compares_each_of_its_columns_and_reads_built_in_ones(
    spark: SparkSession,
) -> None:
    share = "({{current_df}}.mean_square - {{base_df}}.mean_square) / {{base_df}}.mean_square"
    custom = check(
        spark,
        metric(
            "mean_square", "avg({{input_column}} * {{input_column}})", input_columns=["temp", "n"]
        ),
        metric("growth", share, "drift", input_columns=["temp", "n"]),
        metric("macro", "{{current_df}}.precision.macro - {{base_df}}.`precision`.macro", "drift"),
        metric(
            "is_new",
            "{{base_df}}.count IS NULL",
            "drift",
            input_columns=["n"],
            output_data_type="boolean",
        ),
    )
    sides = {
        "temp": ({"mean_square": 3.0}, {"mean_square": 2.0}),
        "n": ({"mean_square": 3.0}, {"mean_square": 0.0}),  # a divisor of 0 gives NULL and no error
        ":table": ({"precision": {"macro": 0.75, "weighted": None}}, {"precision": {"macro": 0.5}}),
    }
    found = with_custom_drift(
        spark,
        [{"column_name": name} for name in sides],
        lambda row: sides[row["column_name"]],
        custom,
    )
    assert found == [
        {"column_name": "temp", "growth": 0.5, "macro": None, "is_new": None},
        {"column_name": "n", "growth": None, "macro": None, "is_new": True},
        {"column_name": ":table", "growth": None, "macro": 0.25, "is_new": None},
    ]


def test_a_derived_metric_reads_built_in_columns_and_other_derived_metrics(
    spark: SparkSession,
) -> None:
    custom = check(
        spark,
        metric("twice", "2 * variance", "derived", input_columns=["temp"]),
        metric("variance", "squares - avg * avg", "derived", input_columns=["temp"]),
        metric("squares", "avg(temp * temp)", input_columns=["temp"]),
        metric(
            "word",
            "CASE WHEN n_labelled > 3 THEN 'many' ELSE 'few' END",
            "derived",
            output_data_type="string",
        ),
        metric(
            "hits",
            "aggregate(confusion_matrix, 0L, (n, each) -> n + each.count)",
            "derived",
            output_data_type="long",
        ),
    )
    partials = dict(zip(custom.partials, (26.0, 2.0), strict=True))
    cells = [
        {"prediction": "1", "label": "1", "count": 3},
        {"prediction": "1", "label": "0", "count": 4},
    ]
    rows = [
        {"column_name": "temp", "avg": 3.0},
        {"column_name": ":table", "n_labelled": 4, "confusion_matrix": cells},
    ]
    nothing = dict.fromkeys(["squares", "variance", "twice", "word", "hits"])
    assert with_custom_metrics(spark, rows, lambda _: partials, custom) == [
        rows[0] | nothing | {"squares": 13.0, "variance": 4.0, "twice": 8.0},
        rows[1] | nothing | {"word": "many", "hits": 7},
    ]


def test_without_all_partials_an_aggregate_is_null_whatever_its_expression_makes_of_null(
    spark: SparkSession,
) -> None:
    custom = check(
        spark, metric("a", "coalesce(avg(temp), -1)"), metric("b", "coalesce(a, -2)", "derived")
    )
    total, count = custom.partials
    given: list[dict[str, float | None] | None] = [
        None,
        {},
        {total: 1.0},
        {total: None, count: 0.0},
        {total: 6.0, count: 3.0},
    ]
    rows = [{"column_name": ":table", "partials": each} for each in given]
    found = with_custom_metrics(spark, rows, lambda row: row["partials"], custom)
    assert [(row["a"], row["b"]) for row in found] == [
        (None, -2),
        (None, -2),
        (None, -2),
        (-1, -1),
        (2, 2),
    ]


def test_a_changed_definition_is_not_mixed_with_hours_of_the_old_one(spark: SparkSession) -> None:
    old, new = (
        check(spark, metric("a", f"sum(temp) / {n}"), metric("b", "sum(temp)")) for n in (1, 2)
    )
    assert [set(old.partials) & set(new.partials), *map(len, (old.partials, new.partials))] == [
        {key for key in old.partials if key.startswith("b.")},
        2,
        2,
    ]
    day = merge_partials(dict.fromkeys(old.partials, 3.0), dict.fromkeys(new.partials, 4.0))
    (row,) = with_custom_metrics(spark, [{"column_name": ":table"}], lambda _: day, new)
    assert (row["a"], row["b"]) == (None, 7.0)


def test_without_custom_metrics_rows_stay_as_they_are_and_hours_keep_nothing(
    spark: SparkSession, raw: DataFrame
) -> None:
    custom = check(
        spark,
    )
    rows = [{"column_name": ":table", "count": 3}]
    assert with_custom_metrics(spark, rows, lambda _: None, custom) == rows
    assert with_custom_drift(spark, rows, lambda _: (None, None), custom) == rows
    (kept,) = raw.agg(partials_column(custom).alias("custom")).collect()
    assert kept["custom"] == {}
    assert (
        raw.agg(partials_column(custom).alias("custom")).schema[0].dataType.simpleString()
        == "map<string,double>"
    )


def test_neither_check_nor_evaluation_runs_a_job(spark: SparkSession) -> None:
    def jobs() -> int:
        return len(spark.sparkContext.statusTracker().getJobIdsForGroup())

    before = jobs()
    custom = check_custom_metrics(
        spark, documented()[1:3], context(DOCUMENTED, "label", "f1", "f2")
    )
    found = with_custom_metrics(
        spark, [{"column_name": "f1"}] * 50, lambda _: dict.fromkeys(custom.partials, 1.0), custom
    )
    assert (len(found), found[-1]["root_mean_square"], jobs() - before) == (50, 1.0, 0)
