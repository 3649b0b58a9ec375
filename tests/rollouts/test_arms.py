"""A key's arm: the same in Python and in SQL, nested as shares grow, independent between
rollouts.
"""

import duckdb
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from scipy.stats import binomtest, chi2_contingency, kstest

from lakehouse.errors import ConfigurationError
from lakehouse.rollouts.arms import answers, duckdb_sql, place_of, spark_sql

KEYS = range(100_000, 120_000)
ROLLOUT = "glassware-7-1"
SHARES = (0.05, 0.25, 0.5)


def in_python(share: float, rollout: str = ROLLOUT) -> list[bool]:
    return [answers(rollout, key, share) for key in KEYS]


def test_duckdb_gives_each_key_the_same_arm_as_python() -> None:
    frame = pd.DataFrame({"pid": KEYS})
    columns = ", ".join(duckdb_sql(ROLLOUT, "pid", share) for share in SHARES)
    found = duckdb.sql(f"SELECT {columns} FROM frame").fetchall()
    assert [list(column) for column in zip(*found, strict=True)] == [in_python(s) for s in SHARES]
    assert len(frame) == 20_000


def test_spark_gives_each_key_the_same_arm_as_python(spark: SparkSession) -> None:
    frame = spark.range(KEYS[0], KEYS[-1] + 1).toDF("pid").coalesce(1)
    columns = [F.expr(spark_sql(ROLLOUT, "pid", share)) for share in SHARES]
    found = frame.select(*columns).collect()
    assert [list(column) for column in zip(*found, strict=True)] == [in_python(s) for s in SHARES]
    texts = ["P0001", "é 2", "x|y"]
    of_texts = spark.createDataFrame([(text,) for text in texts], "parcel_no string")
    answered = of_texts.select(F.expr(spark_sql("r-1-1", "parcel_no", 0.5))).collect()
    assert [row[0] for row in answered] == [answers("r-1-1", text, 0.5) for text in texts]


def test_who_is_in_at_a_small_share_is_in_at_a_greater_one() -> None:
    small, middle, large = map(in_python, SHARES)
    assert all(m for s, m in zip(small, middle, strict=True) if s)
    assert all(g for m, g in zip(middle, large, strict=True) if m)
    assert not any(in_python(0.0))
    assert all(in_python(1.0))


def test_places_are_uniform_and_the_arm_has_its_share() -> None:
    assert kstest([place_of(ROLLOUT, key) for key in KEYS], "uniform").pvalue > 0.001
    for share in SHARES:
        assert binomtest(sum(in_python(share)), len(KEYS), share).pvalue > 0.001


def test_arms_of_two_rollouts_are_independent() -> None:
    table = pd.crosstab(pd.Series(in_python(0.5)), pd.Series(in_python(0.5, "glassware-7-2")))
    assert chi2_contingency(table).pvalue > 0.001


@pytest.mark.parametrize("name", ["", "a'b", "a b", "a`b", "x" * 200])
def test_an_id_that_is_no_name_is_not_put_into_sql(name: str) -> None:
    for sql in (spark_sql, duckdb_sql):
        with pytest.raises(ConfigurationError, match="no rollout's id"):
            sql(name, "pid", 0.5)
