"""Slices, checked: each a SQL predicate or a column over the primary rows."""

from collections.abc import Sequence

from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from lakehouse.errors import ConfigurationError
from lakehouse.monitoring.custom import expressions as sql
from lakehouse.monitoring.custom.analysis import (
    check_values,
    probe,
    understood,
    unlogged,
    without_aggregates,
)
from lakehouse.monitoring.custom.template import Refusal

_FEW_VALUED = ("string", "boolean", "int", "bigint")


def check_slices(spark: SparkSession, slices: Sequence[str], rows: StructType) -> None:
    """Analyses each expression against the schema of the primary rows; no job runs.

    Raises:
        ConfigurationError: one sentence for each that is no predicate and no column of few values.
    """
    wrong = []
    with unlogged():
        for place, text in enumerate(slices):
            try:
                _check(spark, text, rows)
            except Refusal as why:
                wrong.append(f"metrics.slices.{place}: `{text}` {why}")
    if wrong:
        raise ConfigurationError("\n".join(wrong))


def _check(spark: SparkSession, text: str, rows: StructType) -> None:
    frame, tree = probe(spark, rows), sql.parsed(text)
    if tree is not None:
        sql.check_shape(tree, rows.names, aggregates=False)
    kind, _ = understood(frame, text, tree, without_aggregates)
    if kind.simpleString() not in _FEW_VALUED:
        raise Refusal(
            f"is a {kind.simpleString()}; write a predicate such as `x > 5`, or a column of few "
            "values"
        )
    check_values(frame, [text])
