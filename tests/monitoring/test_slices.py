"""A slice is one SQL predicate or a column of few values; anything else is one sentence at
start-up.
"""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from lakehouse.app.opening import open_lakehouse
from lakehouse.errors import ConfigurationError
from lakehouse.monitoring.custom.slices import check_slices
from lakehouse.settings import EnvironmentSettings, load_model_settings

ROWS = (
    "pid bigint, process_time timestamp, temp double, lane string, fragile boolean, quality int, "
    "probability map<string,double>"
)


@pytest.mark.parametrize(
    "text",
    [
        "temp > 355",
        "lane",
        "fragile",
        "quality",
        "temp > 355 AND lane = 'a'",
        "lane IN ('a', 'b')",
        "temp IS NULL",
    ],
)
def test_predicates_and_columns_of_few_values_are_slices(spark: SparkSession, text: str) -> None:
    check_slices(spark, [text], StructType.fromDDL(ROWS))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("temp >", "does not parse"),
        ("colour = 'red'", "is not understood by Spark: A column"),
        ("avg(temp) > 3", "aggregates"),
        ("temp", "is a double; write a predicate such as `x > 5`, or a column of few values"),
        ("process_time", "is a timestamp; write a predicate"),
        ("probability", "is a map<string,double>; write a predicate"),
        ("rand() > 0.5", "which gives another value whenever it is computed"),
        ("temp IN (SELECT 1)", "has a subquery"),
        ("row_number() OVER (ORDER BY temp) > 3", "has a window function"),
        ("explode(array(1, 2))", "makes several rows of one"),
    ],
)
def test_what_is_no_slice_is_one_sentence(spark: SparkSession, text: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        check_slices(spark, ["lane", text], StructType.fromDDL(ROWS))  # type: ignore[arg-type]
    assert str(error.value).startswith(f"metrics.slices.1: `{text}` ")
    assert why in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_slices_and_metrics_are_errors_when_a_lakehouse_is_opened(
    spark: SparkSession, tmp_path
) -> None:
    model = load_model_settings("conf/glassware.yaml")
    wrong = model.metrics.model_copy(
        update={"slices": ("tmep > 3", "quality = 2 AND"), "custom": ()}
    )
    with pytest.raises(ConfigurationError) as error:
        open_lakehouse(
            spark,
            model.model_copy(update={"metrics": wrong}),
            EnvironmentSettings(root=str(tmp_path / "a")),
        )
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == [
        "metrics.slices.0",
        "metrics.slices.1",
    ]
    assert not (tmp_path / "a" / "gold").exists()
