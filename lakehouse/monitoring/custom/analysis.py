"""What Spark says of an expression: names, types, and rows that it could fail on; no job runs."""

import datetime as dt
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.logger import PySparkLogger
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_schema
from sqlglot import exp

from lakehouse.monitoring.custom.expressions import sql_of
from lakehouse.monitoring.custom.template import Refusal

# What Spark's error conditions mean here; it says the rest itself.
_UNAGGREGATED = "reads a column outside of an aggregate function; put it inside one, such as avg(x)"
_MEANINGS = {
    "MISSING_GROUP_BY": _UNAGGREGATED,
    "MISSING_AGGREGATION": _UNAGGREGATED,
    "AGGREGATE_FUNCTION_WITH_NONDETERMINISTIC_EXPRESSION": (
        "gives another figure whenever it is computed; leave out rand() and its like"
    ),
    "UNSUPPORTED_GENERATOR": "makes several rows of one; write one value for a row",
}
_NESTED = "NESTED_AGGREGATE_FUNCTION"
_DECORATION = re.compile(r"^\[[A-Z0-9_.]+\] |\.? SQLSTATE:.*$")
Wrap = Callable[[str], Column]


def probe(spark: SparkSession, fields: Iterable[T.StructField]) -> DataFrame:
    """A local frame of two valid, awkward rows: zeros and ones, odd texts, empty arrays."""
    schema = T.StructType(list(fields))
    rows = [{field.name: _awkward(field.dataType, n) for field in schema} for n in (0, 1)]
    return spark.createDataFrame(
        pa.Table.from_pylist(rows, to_arrow_schema(schema, timezone="UTC"))
    )


def _awkward(kind: T.DataType, n: int) -> Any:
    if isinstance(kind, T.StructType):
        return {field.name: _awkward(field.dataType, n) for field in kind}
    values = {
        T.NumericType: n,
        T.BooleanType: bool(n),
        T.StringType: "x" * n,
        T.ArrayType: [],
        T.MapType: {},
        T.TimestampType: dt.datetime(1970, 1, 1 + n, tzinfo=dt.UTC),
        T.DateType: dt.date(1970, 1, 1 + n),
    }
    return next((value for type_, value in values.items() if isinstance(kind, type_)), None)


def check_values(frame: DataFrame, texts: Iterable[str]) -> None:
    """Compute expressions over the rows of a probe.

    Raises:
        Refusal: one fails, as it would on the first such row of a stream.
    """
    try:
        frame.select(
            *(F.expr(text).alias(str(place)) for place, text in enumerate(texts))
        ).collect()
    except PySparkException as error:
        raise Refusal(f"would stop the pipeline at some row: {_said(error)}") from error


def without_aggregates(text: str) -> Column:
    """A column that Spark refuses if the expression aggregates, explodes or is random."""
    return F.any_value(F.expr(text))


def understood(
    frame: DataFrame, text: str, tree: exp.Expr | None, wrap: Wrap, nested: str = ""
) -> tuple[T.DataType, exp.Expr]:
    """The expression's type, and its tree, which means to Spark what the text means.

    Args:
        frame: has the columns that the expression may read.
        text: the expression.
        tree: what it was parsed to, if it could be.
        wrap: makes a column of it.
        nested: the reason to refuse where it aggregates and must not.

    Raises:
        Refusal: Spark does not understand the text, or the tree means something else to it.
    """
    analysed = _analysed(frame, [wrap(text)], nested)
    if tree is None:
        raise Refusal(
            "is more than one plain SQL expression; leave out AS and what is not Spark's own SQL"
        )
    # sqlglot may read a text otherwise than Spark does: both plans must be the same.
    again = sql_of(tree)
    try:
        same = analysed.sameSemantics(_analysed(frame, [wrap(again)]))
    except Refusal:
        same = False
    if not same:
        raise Refusal(
            f"is read here as {again}, which is not the same to Spark; write it in plainer SQL"
        )
    return analysed.schema[0].dataType, tree


def types(frame: DataFrame, texts: Iterable[str], wrap: Wrap, nested: str = "") -> list[T.DataType]:
    """The types of expressions; `nested` is the reason to refuse an aggregate."""
    return [
        field.dataType for field in _analysed(frame, [wrap(text) for text in texts], nested).schema
    ]


def _analysed(frame: DataFrame, columns: list[Column], nested: str = "") -> DataFrame:
    try:
        return frame.agg(*(column.alias(str(place)) for place, column in enumerate(columns)))
    except PySparkException as error:
        raise _refusal(error, nested) from error


def _refusal(error: PySparkException, nested: str) -> Refusal:
    condition = error.getCondition() or ""
    if condition == _NESTED or (nested and condition.startswith("UNRESOLVED_COLUMN")):
        return Refusal(nested or "has an aggregate inside another; write one of them")
    for prefix, meaning in _MEANINGS.items():
        if condition.startswith(prefix):
            return Refusal(meaning)
    if condition.startswith("PARSE"):
        return Refusal(f"does not parse: {_said(error)}; write one SQL expression")
    return Refusal(f"is not understood by Spark: {_said(error)}")


def _said(error: PySparkException) -> str:
    """Spark's own words, without codes and stack."""
    line = next((line for line in str(error).splitlines() if line), "")
    return _DECORATION.sub("", line).rstrip(".;")


@contextmanager
def unlogged() -> Iterator[None]:
    """Keep PySpark from logging a stack trace for each expression that it refuses."""
    loggers = [
        PySparkLogger.getLogger(f"{kind}QueryContextLogger") for kind in ("SQL", "DataFrame")
    ]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
