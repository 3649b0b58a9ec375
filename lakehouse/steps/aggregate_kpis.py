"""Which hours a micro-batch touched, and the facts of an hour from its rows."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from lakehouse.settings import ModelSettings, Scalar
from lakehouse.statistics.classification import QualityFacts
from lakehouse.statistics.columns import ColumnSpec, text_of
from lakehouse.statistics.profile import ColumnProfile
from lakehouse.statistics.windows import WindowFacts

PREDICTION, LABEL = "prediction", "label"
SCORE = "score"


@dataclass(frozen=True)
class Profiling:
    """How rows become facts.

    Attributes:
        specs: the monitored columns.
        edges: bin edges of the numeric ones, from the baseline.
        label: name of the label column.
        classes: the label's classes, in the order of the probabilities.
        positive: the class that two-class scores are of; None for more classes.
        trained_until: for each version, the event time of the last row that it was trained on.
    """

    specs: tuple[ColumnSpec, ...]
    edges: Mapping[str, tuple[float, ...]]
    label: str
    classes: tuple[Scalar, ...]
    positive: Scalar | None
    trained_until: Mapping[str, dt.datetime]


def specs_of(model: ModelSettings) -> tuple[ColumnSpec, ...]:
    """The monitored columns: features, score, prediction and label."""
    label = model.labels.columns[model.labels.label]
    kinds = {name: model.readings.columns[name].type for name in model.predictions.features}
    features = [
        ColumnSpec(name, kind, "categorical" if kind in ("string", "boolean") else "numeric")
        for name, kind in kinds.items()
    ]
    outcomes = [ColumnSpec(name, label.type, "categorical") for name in (PREDICTION, model.labels.label)]
    return (*features, ColumnSpec(SCORE, "double", "numeric"), *outcomes)


def touching(predictions: DataFrame, labels: DataFrame, model: ModelSettings) -> DataFrame:
    """One frame of what can touch a window: new predictions by their event time, new labels by their key."""
    new_predictions = predictions.select(
        F.lit(PREDICTION).alias("_kind"), model.key, F.col(model.event_time).alias("_moment")
    )
    return new_predictions.unionByName(
        labels.select(F.lit(LABEL).alias("_kind"), model.key, F.col(model.labels.time).alias("_moment"))
    )


def facts_of_hours(
    predictions: DataFrame, labels: DataFrame, model: ModelSettings, profiling: Profiling, schema: StructType
) -> DataFrame:
    """The facts of each hour × version among the predictions, in the columns of `schema`.

    Args:
        predictions: whole hours of production predictions.
        labels: the labels that they may have.
        model: names the columns.
        profiling: how rows become facts.
        schema: the columns of `WindowFacts.to_row`.
    """
    joined = predictions.join(labels.select(model.key, model.labels.label), model.key, "left")
    probabilities = [
        F.col("probability")[F.lit(text_of(each))].alias(f"_p{n}") for n, each in enumerate(profiling.classes)
    ]
    rows = joined.select(
        F.col(model.key).alias("_key"),  # no model's column begins with an underscore
        F.col(model.event_time).alias("_moment"),
        F.date_trunc("hour", model.event_time).alias("_hour"),
        F.col("model_version").alias("_version"),
        *(F.col(spec.name) for spec in profiling.specs),
        *probabilities,
    )
    return rows.groupBy("_hour", "_version").applyInArrow(_profiler(profiling, schema), schema)


def _profiler(profiling: Profiling, schema: StructType) -> Callable[[pa.Table], pa.Table]:
    arrow_schema = to_arrow_schema(schema, timezone="UTC")

    def profile(rows: pa.Table) -> pa.Table:
        ordered = rows.sort_by("_key")  # the same sums to the last digit, however the rows were partitioned
        return pa.Table.from_pylist([_facts_of(ordered, profiling).to_row()], arrow_schema)

    return profile


def _facts_of(rows: pa.Table, profiling: Profiling) -> WindowFacts:
    version = rows["_version"][0].as_py()
    names = [f"_p{n}" for n in range(len(profiling.classes))]
    return WindowFacts(
        start=rows["_hour"][0].as_py(),
        version=version,
        n_in_training=_count_until(rows["_moment"], profiling.trained_until.get(version)),
        quality=QualityFacts.of(
            rows[PREDICTION].to_pylist(),
            rows[profiling.label].to_pylist(),
            rows.select(names).to_pandas(),
            profiling.classes,
            profiling.positive,
        ),
        columns=profiles_of(rows, profiling.specs, profiling.edges),
    )


def _count_until(moments: pa.ChunkedArray, until: dt.datetime | None) -> int:
    if until is None:
        return 0
    return int(pc.sum(pc.less_equal(moments, pa.scalar(until, moments.type))).as_py())


def profiles_of(
    rows: pa.Table, specs: Iterable[ColumnSpec], edges: Mapping[str, tuple[float, ...]]
) -> dict[str, ColumnProfile]:
    """The profile of each monitored column that the rows have."""
    present = [spec for spec in specs if spec.name in rows.column_names]
    return {spec.name: ColumnProfile.of(rows[spec.name], spec, edges.get(spec.name)) for spec in present}
