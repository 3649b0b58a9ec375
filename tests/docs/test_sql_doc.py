"""docs/sql.md: every query in it runs in Spark and in DuckDB, with the answer that it shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import duckdb_ext
import pytest
from pyspark.sql import SparkSession

from lakehouse.storage.lakehouse import Lakehouse
from tests.support.engines import alike, duckdb_of, duckdb_rows, known_to_spark, spark_rows
from tools.sql_doc import DOCUMENT, programs, queries, shown

TEXT = DOCUMENT.read_text(encoding="utf-8")
QUERIES = queries(TEXT)
PROGRAMS = [
    each for each in programs(TEXT) if "impala" not in each
]  # that one is run beside its server


@dataclass(frozen=True)
class Works:
    """The small glass works, known to both engines."""

    root: str
    spark: SparkSession
    duckdb: duckdb.DuckDBPyConnection


@pytest.fixture(scope="module")
def works(spark: SparkSession, three_nights: Lakehouse) -> Iterator[Works]:
    root = three_nights.store.root
    with known_to_spark(spark, root):
        yield Works(root, spark, duckdb_of(root))


@pytest.mark.parametrize(
    ("query", "answer"), QUERIES, ids=[str(place) for place in range(len(QUERIES))]
)
def test_both_engines_answer_a_query_of_the_document_as_it_shows(
    query: str, answer: str, works: Works
) -> None:
    by_spark = spark_rows(works.spark, query)
    assert alike(by_spark) == alike(duckdb_rows(works.duckdb, query))
    assert shown(by_spark) == answer, "ask anew: python -m tools.sql_doc"


def test_the_document_answers_ten_questions() -> None:
    parts = TEXT.split("\n### ")
    numbered = [part for part in parts if part.partition(".")[0].isdigit()]
    assert [int(part.partition(".")[0]) for part in numbered] == list(range(1, 11))
    assert all(queries(part + "\n") for part in numbered)


@pytest.mark.parametrize(
    "program", [each for each in programs(TEXT) if "impala" not in each], ids=lambda text: text[:40]
)
def test_a_program_of_the_document_runs(
    program: str, works: Works, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connect = duckdb.connect
    monkeypatch.setattr(
        duckdb, "connect", lambda: duckdb_ext.init(connect())
    )  # its delta extension comes from pip here
    names: dict[str, Any] = {}
    exec(program.replace(".lakehouse/demo", works.root), names)
    assert "2019-07-16" in capsys.readouterr().out
