"""Features to predictions by an Arrow UDF; a worker loads each version once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias, cast

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import arrow_udf
from pyspark.sql.pandas.types import from_arrow_type

from lakehouse import models as estimators
from lakehouse.models import Classification, Features, Problem, flat, is_finite
from lakehouse.profiling.columns import ColumnSpec, text_of
from lakehouse.settings import ModelSettings


@dataclass(frozen=True)
class ScoringModel:
    """A registered version, ready for workers: its file, verified by digest where it is loaded.

    Its features and its problem are those that it was trained with, whatever the settings say by
    now.
    """

    version: str
    sha256: str
    content: Broadcast[bytes]
    features: Features
    problem: Problem
    is_linear: bool = False
    """Whether an output may overflow: sums of products do, averages of leaves do not."""


def with_prediction(rows: DataFrame, model: ScoringModel, prediction_type: str) -> DataFrame:
    """The rows with the version and its prediction: a number, or a class with probabilities.

    A row whose output is not finite has no prediction: null.
    """
    scored, answer = _answered(rows, model)
    return scored.select(
        *rows.columns, *answer.columns(prediction_type), F.lit(model.version).alias("model_version")
    )


def with_other_prediction(
    rows: DataFrame, model: ScoringModel, prediction_type: str, name: str
) -> DataFrame:
    """The rows with another model's prediction, in the column `name`."""
    scored, answer = _answered(rows, model)
    return scored.select(*rows.columns, answer.columns(prediction_type)[0].alias(name))


def predicted_here(rows: pd.DataFrame, model: ScoringModel, kind: pa.DataType) -> pa.Array:
    """The model's prediction of each row, on this machine; null as by `with_prediction`."""
    if not len(rows):
        return pa.array([], kind)
    answers = answer_of(model.problem).array(outputs_here(rows, model))
    return fields_of(answers)["prediction"].cast(kind)


def outputs_here(rows: pd.DataFrame, model: ScoringModel) -> np.ndarray:
    """The model's output of each row, on this machine; there is one row at least."""
    return outputs_by(model)(rows)


def _answered(rows: DataFrame, model: ScoringModel) -> tuple[DataFrame, "Answer"]:
    """The rows with the worker's answer in `_found`, and how to read it."""
    answer = answer_of(model.problem)
    predict = run_once(_predictor(model, answer), answer.schema)
    return rows.withColumn("_found", predict(*model.features.names)), answer


def run_once(predict: Callable[..., pa.Array], schema: str) -> Callable[..., Column]:
    """An Arrow UDF that runs once for each row.

    Spark moves a filter on what a deterministic UDF answers beneath the columns that are read of
    it, and runs the UDF for both.
    """
    udf = arrow_udf(predict, schema)  # type: ignore[call-overload]
    return cast("Callable[..., Column]", udf.asNondeterministic())


def outcome_specs(model: ModelSettings) -> tuple[ColumnSpec, ...]:
    """The monitored columns of a prediction and its label."""
    name, label = model.labels.label, model.labels.columns[model.labels.label]
    if model.is_regression:
        return ColumnSpec("prediction", "double", "numeric"), ColumnSpec(
            name, label.type, "numeric"
        )
    classes = [ColumnSpec(column, label.type, "categorical") for column in ("prediction", name)]
    return (ColumnSpec("score", "double", "numeric"), *classes)


@dataclass(frozen=True)
class _ClassAnswer:
    """The predicted class, its score and all probabilities, as a worker gives them."""

    problem: Classification

    @property
    def schema(self) -> str:
        kind = from_arrow_type(pa.array(self.problem.classes).type).simpleString()
        return f"prediction {kind}, score double, probability map<string,double>"

    def nothing(self, rows: int) -> pa.StructArray:
        return self.array(np.full((rows, len(self.problem.classes)), np.nan))

    def array(self, outputs: np.ndarray) -> pa.StructArray:
        is_unknown = ~is_finite(outputs)
        codes = pa.array(self.problem.predicted(outputs), mask=is_unknown)
        score = pa.array(self.problem.score(outputs), pa.float64(), mask=is_unknown)
        prediction = pa.array(self.problem.classes).take(codes)
        columns = [prediction, score, self._map(outputs, is_unknown)]
        return pa.StructArray.from_arrays(columns, ["prediction", "score", "probability"])

    def _map(self, outputs: np.ndarray, is_unknown: np.ndarray) -> pa.MapArray:
        """Each row's probabilities by the names of the classes; nulls where they are unknown."""
        classes = self.problem.classes
        begins = pa.array(np.arange(len(outputs) + 1, dtype=np.int32) * len(classes))
        places = np.tile(np.arange(len(classes), dtype=np.int32), len(outputs))
        names = pa.array([text_of(each) for each in classes]).take(pa.array(places))
        has_none = np.repeat(is_unknown, len(classes))
        values = pa.array(outputs.ravel(), pa.float64(), mask=has_none)
        return pa.MapArray.from_arrays(begins, names, values)

    def columns(self, prediction_type: str, prefix: str = "") -> list[Column]:
        prediction = F.col(f"_found.{prefix}prediction").cast(prediction_type)
        others = [F.col(f"_found.{prefix}{name}").alias(name) for name in ("score", "probability")]
        return [prediction.alias("prediction"), *others]


@dataclass(frozen=True)
class _NumberAnswer:
    """A number, as the worker finds it."""

    schema: ClassVar[str] = "prediction double"

    def nothing(self, rows: int) -> pa.StructArray:
        return self.array(np.full(rows, np.nan))

    def array(self, outputs: np.ndarray) -> pa.StructArray:
        values = pa.array(outputs, mask=~is_finite(outputs))
        return pa.StructArray.from_arrays([values], ["prediction"])

    def columns(self, prediction_type: str, prefix: str = "") -> list[Column]:
        return [F.col(f"_found.{prefix}prediction").cast(prediction_type).alias("prediction")]


Answer: TypeAlias = _ClassAnswer | _NumberAnswer


def answer_of(problem: Problem) -> Answer:
    """How a worker's answer to a problem is read."""
    return _ClassAnswer(problem) if isinstance(problem, Classification) else _NumberAnswer()


def fields_of(answers: pa.StructArray) -> dict[str, pa.Array]:
    """The columns of an answer, by name."""
    return {field.name: answers.field(field.name) for field in answers.type}


def _predictor(model: ScoringModel, answer: Answer) -> Callable[..., pa.Array]:
    asked, names = outputs_by(model), model.features.names

    def predict(*columns: pa.Array) -> pa.Array:
        return answer.array(asked(pa.Table.from_arrays(list(columns), names).to_pandas()))

    return predict


def outputs_by(model: ScoringModel) -> Callable[[pd.DataFrame], np.ndarray]:
    """What gives the outputs of rows in a worker, which loads the model once."""
    sha256, content, features, problem = model.sha256, model.content, model.features, model.problem

    def outputs(rows: pd.DataFrame) -> np.ndarray:
        # By way of its module: a cache that is named here itself would be pickled, and each task
        # would get a new one.
        pipeline = estimators.WORKER_CACHE.get(sha256, lambda: content.value)
        return flat.answering(sha256, pipeline, features, problem).outputs(rows)

    return outputs
