"""A small micro-batch's predictions are the same by the driver as by the workers."""

import hashlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lakehouse.models import (
    Classification,
    Features,
    Problem,
    Regression,
    TrainingSet,
    Trial,
    dump,
    fit_weighted,
)
from lakehouse.scoring import small_batches
from lakehouse.scoring.small_batches import is_small, predicted_rows
from lakehouse.scoring.transforms import ScoringModel, with_prediction

FEATURES = Features(("x", "count"), ("lane", "fragile"))
SCHEMA = "id long, x double, count long, lane string, fragile boolean"
ROWS = 200
TWO, THREE = Classification((0, 1), 1), Classification(("a", "b", "c"), "b")
NUMBER = Regression(0.5)
FAMILIES = {
    "random_forest": {"n_estimators": 5},
    "hist_gradient_boosting": {"max_iter": 5},
    "logistic_regression": {"C": 1.0},
    "ridge_regression": {"alpha": 1.0},
}


def rows() -> pd.DataFrame:
    random = np.random.default_rng(0)
    found = pd.DataFrame(
        {
            "id": np.arange(ROWS),
            "x": random.normal(size=ROWS),
            "count": pd.array(random.integers(0, 9, ROWS), "Int64"),
            "lane": random.choice(np.array(["a", "b", None], dtype=object), ROWS),
            "fragile": random.choice(np.array([True, False, None], dtype=object), ROWS),
        }
    )
    found.loc[::7, "count"] = pd.NA
    found.loc[::11, "x"] = np.nan
    return found


def model_of(family: str, problem: Problem, spark: SparkSession | None = None) -> ScoringModel:
    given = FEATURES.frame(rows())
    targets = rows()["x"].fillna(0).to_numpy()
    if isinstance(problem, Classification):
        targets = (np.arange(ROWS) % len(problem.classes)).astype(np.int64)
    data = TrainingSet(FEATURES, problem, given, targets, np.ones(ROWS, dtype=bool), seed=0)
    content = dump(fit_weighted(Trial("all", family, FAMILIES[family]), data, np.ones(ROWS)))
    sent: Any = SimpleNamespace(value=content)
    if spark is not None:
        sent = spark.sparkContext.broadcast(content)
    return ScoringModel("7", hashlib.sha256(content).hexdigest(), sent, FEATURES, problem)


@pytest.mark.parametrize(
    ("family", "problem", "kind"),
    [
        ("random_forest", TWO, "int"),
        ("hist_gradient_boosting", THREE, "string"),
        ("logistic_regression", THREE, "string"),
        ("ridge_regression", NUMBER, "double"),
    ],
)
def test_predictions_are_the_same_by_the_driver_as_by_the_workers(
    spark: SparkSession, family: str, problem: Problem, kind: str
) -> None:
    model = model_of(family, problem, spark)
    frame = spark.createDataFrame(pa.Table.from_pandas(rows(), preserve_index=False)).to(
        spark.createDataFrame([], SCHEMA).schema
    )
    expected = with_prediction(frame, model, kind).orderBy("id").toArrow()
    types = {"int": pa.int32(), "string": pa.string(), "double": pa.float64()}
    found, unknown = predicted_rows(frame.toArrow(), model, types[kind])
    assert found.column_names == expected.column_names
    assert len(unknown) == 0
    # NaN is no number equal to itself; pandas takes two of them for the same.
    pd.testing.assert_frame_equal(
        found.cast(expected.schema).to_pandas(), expected.to_pandas(), check_exact=True
    )


def test_a_row_whose_output_is_not_finite_has_no_prediction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outputs = np.array([[0.2, 0.8], [np.nan, 0.5], [0.9, 0.1]])
    monkeypatch.setattr(small_batches, "outputs_here", lambda *_: outputs)
    model = ScoringModel("7", "", SimpleNamespace(value=b""), FEATURES, TWO)  # type: ignore[arg-type]
    known, unknown = predicted_rows(pa.table({"id": [1, 2, 3]}), model, pa.int32())
    assert known["id"].to_pylist() == [1, 3]
    assert known["prediction"].to_pylist() == [1, 0]
    assert known["score"].to_pylist() == [0.8, 0.1]
    assert known["probability"].to_pylist() == [[("0", 0.2), ("1", 0.8)], [("0", 0.9), ("1", 0.1)]]
    assert unknown.to_pylist() == [{"id": 2, "model_version": "7"}]


def test_many_rows_are_for_the_workers(spark: SparkSession, tmp_path: Any) -> None:
    few, many = str(tmp_path / "few"), str(tmp_path / "many")
    spark.range(1000).write.format("delta").save(few)
    random = spark.range(400_000).selectExpr("id", "uuid() as text")
    random.write.format("delta").save(many)
    assert is_small(spark.read.format("delta").load(few))
    assert not is_small(spark.read.format("delta").load(many))
