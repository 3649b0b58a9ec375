"""Custom metrics: partials from rows, metrics from merged partials, drift from two windows.

Spark evaluates every expression: partials over the primary rows, the rest over a small local frame,
without a job.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_schema

from lakehouse.monitoring.partials import Partials
from lakehouse.settings import CustomMetricSettings
from lakehouse.tables.declaration import SQL_TYPES, spark_type

Row = Mapping[str, Any]
CURRENT, BASE = "current_df", "base_df"


@dataclass(frozen=True)
class CheckedMetric:
    """A metric that Spark understands.

    Attributes:
        settings: as the YAML says.
        expressions: for each input column, the SQL of the metric's value.
        partials: for each input column, what an hour keeps for it: SQL of an aggregate over rows,
            by the partial's id. Aggregates alone have them, and their expressions read these ids;
            others read columns of the profile table.
        reads: those columns of the profile table.
    """

    settings: CustomMetricSettings
    expressions: Mapping[str, str]
    partials: Mapping[str, Mapping[str, str]]
    reads: frozenset[str]

    @property
    def name(self) -> str:
        """The column that it becomes."""
        return self.settings.name

    @property
    def value(self) -> str:
        """SQL of its value on rows of its input columns; NULL elsewhere, or without partials.

        The frame says in `_column` which column a row is of, and in `_has.<name>` whether all
        partials are there.
        """
        has_partials = f"`_has.{self.name}` AND " if self.partials else ""
        cases = " ".join(
            f"WHEN {has_partials}_column = '{column}' THEN {text}"
            for column, text in self.expressions.items()
        )
        kind = SQL_TYPES[self.settings.output_data_type]
        return f"TRY_CAST(CASE {cases} END AS {kind}) AS `{self.name}`"


@dataclass(frozen=True)
class CustomMetrics:
    """The custom metrics of a model, checked.

    Attributes:
        profile: aggregate and derived metrics, each after those that it reads.
        drift: drift metrics.
        fields: columns of gold.profile_metrics that any of them reads, by name.
    """

    profile: tuple[CheckedMetric, ...] = ()
    drift: tuple[CheckedMetric, ...] = ()
    fields: Mapping[str, T.StructField] = field(default_factory=dict)

    @property
    def partials(self) -> dict[str, str]:
        """SQL of the aggregates that an hour keeps, by id (`….sum`, `….min`, `….max`)."""
        each_column = (texts for metric in self.profile for texts in metric.partials.values())
        return {key: text for texts in each_column for key, text in texts.items()}


def output_field(metric: CustomMetricSettings) -> T.StructField:
    """The column that a metric becomes."""
    return T.StructField(metric.name, spark_type(SQL_TYPES[metric.output_data_type]))


def partials_column(custom: CustomMetrics) -> Column:
    """The partials of grouped primary rows, for `groupBy(...).agg(...)`: a map<string,double>.

    Every id is a key; its value is NULL where SQL's aggregate is (no row has a value).
    """
    entries = [(F.lit(key), F.expr(text).cast("double")) for key, text in custom.partials.items()]
    whole = F.create_map(*(part for entry in entries for part in entry))
    return whole.cast("map<string,double>")  # of no entries it would be a map of nothing


def with_custom_metrics(
    spark: SparkSession,
    rows: Sequence[Row],
    partials_of: Callable[[Row], Partials | None],
    custom: CustomMetrics,
) -> list[dict[str, Any]]:
    """The profile rows with the aggregate and derived metrics filled in.

    Args:
        spark: evaluates the expressions.
        rows: of gold.profile_metrics.
        partials_of: the merged partials of a row's window, version and slice; None where there are
            none (a baseline that is a profile and no rows): its aggregates are NULL, like those
            whose partials are not all there.
        custom: the metrics.
    """
    metrics = custom.profile
    own = {metric.name for metric in metrics}
    reads = frozenset().union(*(metric.reads for metric in metrics)) - own
    fields = [custom.fields[name] for name in sorted(reads)]
    fields += [
        T.StructField(f"_has.{metric.name}", T.BooleanType())
        for metric in metrics
        if metric.partials
    ]
    fields += [T.StructField(key, T.DoubleType()) for key in custom.partials]

    def record(row: Row) -> dict[str, Any]:
        partials = partials_of(row) or {}
        wanted = {metric.name: metric.partials.get(row["column_name"], {}) for metric in metrics}
        complete = {
            f"_has.{name}": all(key in partials for key in keys) for name, keys in wanted.items()
        }
        return {name: row.get(name) for name in reads} | complete | dict(partials)

    return _filled(spark, rows, record, fields, metrics)


def with_custom_drift(
    spark: SparkSession,
    rows: Sequence[Row],
    compared: Callable[[Row], tuple[Row | None, Row | None]],
    custom: CustomMetrics,
) -> list[dict[str, Any]]:
    """The drift rows with the drift metrics filled in.

    Args:
        spark: evaluates the expressions.
        rows: of gold.drift_metrics.
        compared: for a drift row, the profile rows of the same column (with their custom metrics)
            of the current window and of what it is compared with. What a missing row says is NULL,
            and so is most of what is made of it.
        custom: the metrics.
    """
    reads = sorted(frozenset().union(*(metric.reads for metric in custom.drift)))
    side = T.StructType([custom.fields[name] for name in reads])

    def record(row: Row) -> dict[str, Any]:
        both = zip((CURRENT, BASE), compared(row), strict=True)
        return {name: {key: (given or {}).get(key) for key in reads} for name, given in both}

    return _filled(
        spark, rows, record, [T.StructField(CURRENT, side), T.StructField(BASE, side)], custom.drift
    )


def _filled(
    spark: SparkSession,
    rows: Sequence[Row],
    record: Callable[[Row], dict[str, Any]],
    fields: Iterable[T.StructField],
    metrics: Sequence[CheckedMetric],
) -> list[dict[str, Any]]:
    """The rows with the metrics, computed in one small local frame."""
    inputs = {column for metric in metrics for column in metric.settings.input_columns}
    chosen = [place for place, row in enumerate(rows) if row["column_name"] in inputs]
    filled = [{**row, **dict.fromkeys(metric.name for metric in metrics)} for row in rows]
    if not chosen:
        return filled
    schema = T.StructType(
        [T.StructField("_row", T.LongType()), T.StructField("_column", T.StringType()), *fields]
    )
    records = [
        {"_row": place, "_column": rows[place]["column_name"], **record(rows[place])}
        for place in chosen
    ]
    frame = spark.createDataFrame(
        pa.Table.from_pylist(records, to_arrow_schema(schema, timezone="UTC"))
    )
    # In the order of the metrics: each may read those to its left, as Spark allows in one SELECT.
    values = frame.selectExpr("_row", *(metric.value for metric in metrics))
    for row in values.collect():
        filled[row["_row"]].update({metric.name: row[metric.name] for metric in metrics})
    return filled
