"""Scoring: features to prediction and probabilities by a pandas UDF, the model loaded once per worker and version."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pyspark import Broadcast
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from lakehouse import estimators
from lakehouse.estimators import Features, probabilities
from lakehouse.settings import Scalar
from lakehouse.statistics.columns import text_of


@dataclass(frozen=True)
class ScoringModel:
    """A registered version, ready to be sent to workers: its file as bytes, verified by digest where it is loaded."""

    version: str
    sha256: str
    content: Broadcast[bytes]
    features: Features
    classes: tuple[Scalar, ...]
    positive: Scalar


def with_prediction(rows: DataFrame, model: ScoringModel, label_type: str) -> DataFrame:
    """The rows with prediction, score, probability of each class, and the model's version.

    Args:
        rows: with the feature columns.
        model: what predicts.
        label_type: Spark's type of the prediction.
    """
    names = [f"p{place}" for place in range(len(model.classes))]
    schema = ", ".join(["code int", *(f"{name} double" for name in names)])
    predict = pandas_udf(_predictor(model, names), schema)  # type: ignore[call-overload]
    found = predict(F.struct(*model.features.names))
    scored = rows.withColumn("_found", found)  # no model's column begins with an underscore
    parts = [F.col(f"_found.{name}") for name in names]
    entries = [each for label, part in zip(model.classes, parts, strict=True) for each in (F.lit(text_of(label)), part)]
    classes = F.array(*map(F.lit, model.classes))
    return scored.select(
        *rows.columns,
        F.element_at(classes, F.col("_found.code") + 1).cast(label_type).alias("prediction"),
        _score(model, parts).alias("score"),
        F.create_map(*entries).alias("probability"),
        F.lit(model.version).alias("model_version"),
    )


def _score(model: ScoringModel, parts: list[Column]) -> Column:
    """Of two classes, the positive one's probability; of more, the greatest."""
    return parts[model.classes.index(model.positive)] if len(parts) == 2 else F.greatest(*parts)


def _predictor(model: ScoringModel, names: list[str]) -> Callable[..., Any]:
    sha256, content, features, n_classes = model.sha256, model.content, model.features.names, len(model.classes)

    def predict(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        # By way of its module: a cache that is named here itself would be pickled, and each task would get a new one.
        loaded = estimators.WORKER_CACHE.get(sha256, lambda: content.value)
        for batch in batches:
            found = probabilities(loaded, batch[features], n_classes)
            yield pd.DataFrame({"code": found.argmax(axis=1).astype(np.int32)} | dict(zip(names, found.T, strict=True)))

    return predict
