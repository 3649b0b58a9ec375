"""The two engines that the tests ask: Spark and DuckDB, each told the names by the file that the
lakehouse keeps.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import duckdb_ext
from pyspark.sql import SparkSession

from lakehouse.sql.catalogue import statements_of
from lakehouse.sql.prompt import names_of


@contextmanager
def known_to_spark(spark: SparkSession, root: str) -> Iterator[None]:
    """The lakehouse's names in Spark's catalog, for as long as the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        for layer in ("bronze", "silver", "gold"):
            spark.sql(
                f"CREATE DATABASE {layer} LOCATION '{folder}/{layer}'"
            )  # or folders stay in the warehouse
        for statement in statements_of(names_of(Path(root))):
            spark.sql(statement)
        try:
            yield
        finally:
            for layer in ("bronze", "silver", "gold"):
                spark.sql(f"DROP DATABASE {layer} CASCADE")


def duckdb_of(root: str) -> duckdb.DuckDBPyConnection:
    """A DuckDB that knows the names of a lakehouse; its delta extension is the one that pip has
    installed.
    """
    connection: duckdb.DuckDBPyConnection = duckdb_ext.init(duckdb.connect())
    connection.execute((Path(root) / "_system" / "tables.duckdb.sql").read_text(encoding="utf-8"))
    return connection


def spark_rows(spark: SparkSession, sql: str) -> list[dict[str, Any]]:
    """Spark's answer, times in UTC."""
    return spark.sql(sql).toArrow().to_pylist()


def duckdb_rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """DuckDB's answer, times in UTC."""
    return connection.sql(sql).to_arrow_table().to_pylist()


def alike(value: Any) -> Any:
    """A value as both engines mean it: maps without order, sums of doubles to eleven digits, times
    in UTC.
    """
    if isinstance(value, float):
        return float(f"{value:.11g}")
    if isinstance(value, Decimal):
        return int(value)  # DuckDB's sums of integers
    if isinstance(value, dict):
        return {key: alike(each) for key, each in value.items()}
    if isinstance(value, list):
        pairs = [tuple(each) for each in value if isinstance(each, tuple)]
        return (
            dict(sorted((key, alike(each)) for key, each in pairs))
            if pairs
            else [alike(each) for each in value]
        )
    return value


@dataclass(frozen=True)
class Engines:
    """Both, over the same lakehouse."""

    spark: SparkSession
    duckdb: duckdb.DuckDBPyConnection

    @cache  # noqa: B019 - two of them live as long as the tests
    def rows(self, view: str, order: str) -> list[dict[str, Any]]:
        """What both answer, alike; fails where they differ."""
        sql = f"SELECT * FROM gold.{view} ORDER BY {order}"
        by_spark = spark_rows(self.spark, sql)
        assert alike(by_spark) == alike(duckdb_rows(self.duckdb, sql))
        return by_spark
