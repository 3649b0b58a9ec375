"""Which windows a micro-batch touched, and the facts of a base window from its rows."""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from lakehouse.models import Classification, Problem, Regression
from lakehouse.models.expected_error.encoding import ErrorBins, feature_of
from lakehouse.monitoring.windows import Segment, WindowFacts
from lakehouse.profiling.baseline import to_document
from lakehouse.profiling.coding import coded
from lakehouse.profiling.columns import ColumnSpec, text_of
from lakehouse.profiling.profile import ColumnProfile
from lakehouse.profiling.sketches import BASELINE_VALUES, WINDOW_VALUES
from lakehouse.quality.classification import QualityFacts
from lakehouse.quality.facts import Quality
from lakehouse.quality.regression import RegressionFacts
from lakehouse.scoring.transforms import outcome_specs
from lakehouse.settings import ModelSettings
from lakehouse.settings.reserved import PREDICTION
from lakehouse.tables import Catalog

LABEL = "label"
UNRETRAINED = "_unretrained"
"""Column of what the first model would have predicted."""
SEGMENT = ("_window", "_version", "_slice_key", "_slice_value")


@dataclass(frozen=True)
class Profiling:
    """How rows become facts.

    Attributes:
        specs: the monitored columns.
        edges: bin edges of the numeric ones.
        label: name of the label column.
        problem: what is predicted.
        trained_spans: for each version, the event times of its first and last training row.
        error_bins: for each version with a policy record, the bins of its expected error.
    """

    specs: tuple[ColumnSpec, ...]
    edges: Mapping[str, tuple[float, ...]]
    label: str
    problem: Problem
    trained_spans: Mapping[str, tuple[dt.datetime, dt.datetime]]
    error_bins: Mapping[str, ErrorBins] = field(default_factory=dict)


def specs_of(model: ModelSettings) -> tuple[ColumnSpec, ...]:
    """The monitored columns: features and other readings, and what is predicted of them."""
    kinds = {
        name: model.readings.columns[name].type
        for name in (*model.predictions.features, *model.metrics.columns)
    }
    readings = [
        ColumnSpec(name, kind, "categorical" if kind in ("string", "boolean") else "numeric")
        for name, kind in kinds.items()
    ]
    return (*readings, *outcome_specs(model))


def touching(predictions: DataFrame, labels: DataFrame, model: ModelSettings) -> DataFrame:
    """What can affect a window: new predictions by event time, new labels by key."""
    new_predictions = predictions.select(
        F.lit(PREDICTION).alias("_kind"), model.key, F.col(model.event_time).alias("_moment")
    )
    new_labels = labels.select(
        F.lit(LABEL).alias("_kind"), model.key, F.col(model.labels.time).alias("_moment")
    )
    return new_predictions.unionByName(new_labels)


def window_start(time: str, width: dt.timedelta) -> Column:
    """The start of the window of that width, an hour at most, that holds a row's moment."""
    seconds = int(width.total_seconds())
    moment = F.col(time).cast("bigint")
    return F.timestamp_seconds(moment - F.pmod(moment, F.lit(seconds)))


def primary_rows(
    predictions: DataFrame, labels: DataFrame, readings: DataFrame | None, model: ModelSettings
) -> DataFrame:
    """Predictions with label and label time (null for none) and, if given, their readings."""
    dated_labels = labels.select(model.key, model.labels.label, model.labels.time)
    if readings is not None:
        others = [name for name in model.readings.columns if name not in predictions.columns]
        predictions = predictions.join(readings.select(model.key, *others), model.key, "left")
    return predictions.join(dated_labels, model.key, "left")


def primary_schema(catalog: Catalog, model: ModelSettings) -> StructType:
    """The columns of `primary_rows`, with all columns of the readings."""
    of_label = [catalog.labels.schema[name] for name in (model.labels.label, model.labels.time)]
    own = catalog.predictions.schema.names
    others = [catalog.readings.schema[name] for name in model.readings.columns if name not in own]
    return StructType([*catalog.predictions.schema, *others, *of_label])


def is_wide(model: ModelSettings) -> bool:
    """Return whether the metrics may ask for columns that predictions do not have."""
    return bool(model.metrics.columns or model.metrics.slices or model.metrics.custom)


def in_segments(primary: DataFrame, model: ModelSettings, slices: Iterable[str]) -> DataFrame:
    """The primary rows, once for each segment that they are in, with the columns of SEGMENT."""
    # No model's column begins with an underscore.
    parts = primary.select("*", F.explode(_slices(slices)).alias("_slice"))
    return parts.select(
        *primary.columns,
        window_start(model.event_time, model.metrics.base_window).alias("_window"),
        F.col("model_version").alias("_version"),
        F.col("_slice.key").alias("_slice_key"),
        F.col("_slice.value").alias("_slice_value"),
    )


def facts_of_windows(
    rows: DataFrame, model: ModelSettings, profiling: Profiling, schema: StructType
) -> DataFrame:
    """The facts of each base window × version × slice, in the columns of `schema`.

    Args:
        rows: whole base windows of `in_segments`.
        model: names the columns.
        profiling: how rows become facts.
        schema: the columns of `WindowFacts.to_row`.
    """
    classes = profiling.problem.classes if isinstance(profiling.problem, Classification) else ()
    # Versions may read features that the settings do not name any more.
    binned_by = (feature_of(name) for bins in profiling.error_bins.values() for name in bins.names)
    columns = dict.fromkeys([*(spec.name for spec in profiling.specs), *binned_by])
    needed = rows.select(
        *SEGMENT,
        F.col(model.key).alias("_key"),
        F.col(model.event_time).alias("_moment"),
        *([UNRETRAINED] if UNRETRAINED in rows.columns else []),
        *(F.col(name) for name in columns if name in rows.columns),
        *(_probability(text_of(label)).alias(f"_p{n}") for n, label in enumerate(classes)),
    )
    return needed.groupBy(*SEGMENT).applyInArrow(_profiler(profiling, schema), schema)


def _probability(label: str) -> Column:
    """Of a class; 0 by a version that did not know it."""
    given = F.coalesce(F.col("probability")[F.lit(label)], F.lit(0.0))
    return F.when(F.col("probability").isNotNull(), given)


def _slices(expressions: Iterable[str]) -> Column:
    """The slices that a row is in: the whole table, and of each expression the one of its value."""
    null = F.lit(None).cast("string")
    whole = F.struct(null.alias("key"), null.alias("value"))
    parts = [
        F.struct(F.lit(expression).alias("key"), F.expr(expression).cast("string").alias("value"))
        for expression in expressions
    ]
    return F.array(whole, *parts)


def _profiler(profiling: Profiling, schema: StructType) -> Callable[[pa.Table], pa.Table]:
    arrow_schema = to_arrow_schema(schema, timezone="UTC")

    def profile(rows: pa.Table) -> pa.Table:
        # In order, sums are the same to the last digit, however the rows were partitioned.
        ordered = rows.sort_by("_key")
        return pa.Table.from_pylist([facts_of_rows(ordered, profiling).to_row()], arrow_schema)

    return profile


def facts_of_rows(rows: pa.Table, profiling: Profiling) -> WindowFacts:
    """The facts of the rows of one base window, version and slice, in the order of their keys."""
    version = rows["_version"][0].as_py()
    binned = _binned(rows, version, profiling)
    return WindowFacts(
        start=rows["_window"][0].as_py(),
        segment=Segment(version, rows["_slice_key"][0].as_py(), rows["_slice_value"][0].as_py()),
        n_in_training=int(pc.sum(_is_in_training(rows, version, profiling)).as_py()),
        quality=_quality_of(rows, profiling),
        columns=profiles_of(rows, profiling.specs, profiling.edges),
        by_difficulty={} if binned is None else _by_difficulty(binned),
        rows_by_bin={} if binned is None else _rows_by_bin(binned, version),
    )


@dataclass(frozen=True)
class _Binned:
    """Predicted rows.

    Attributes:
        places: kind × number of error bins + error bin of each.
        is_judged: whether its label has come, and the version was not trained on it.
        is_wrong: whether its prediction is not its label.
    """

    places: np.ndarray
    is_judged: np.ndarray
    is_wrong: np.ndarray


def _binned(rows: pa.Table, version: str, profiling: Profiling) -> _Binned | None:
    """The rows by error bin; None for slices, and where the version has no record."""
    bins, problem = profiling.error_bins.get(version), profiling.problem
    if bins is None or rows["_slice_key"][0].is_valid:
        return None
    predictions, labels = (
        _as_targets(rows[name], problem) for name in (PREDICTION, profiling.label)
    )
    known = problem.is_known(predictions)
    predictions, labels = predictions[known], labels[known]
    rows = rows.filter(pa.array(known))
    in_training = np.asarray(_is_in_training(rows, version, profiling))
    return _Binned(
        bins.bins(rows, problem.kind_of(predictions)),
        problem.is_known(labels) & ~in_training.astype(bool),
        ~problem.is_right(predictions, labels),
    )


def _by_difficulty(binned: _Binned) -> dict[int, tuple[int, int]]:
    """Rows and errors by kind and error bin, of labelled rows outside the training."""
    places, is_wrong = (each[binned.is_judged] for each in (binned.places, binned.is_wrong))
    labelled, wrong = np.bincount(places), np.bincount(places, is_wrong)
    return {
        int(place): (int(labelled[place]), int(wrong[place])) for place in np.flatnonzero(labelled)
    }


def _rows_by_bin(binned: _Binned, version: str) -> dict[tuple[str, int], int]:
    """Rows by version, and kind and error bin, with or without a label."""
    rows = np.bincount(binned.places)
    return {(version, int(place)): int(rows[place]) for place in np.flatnonzero(rows)}


def _as_targets(column: pa.ChunkedArray, problem: Problem) -> np.ndarray:
    """Predictions or labels as the problem has them, unknown where there is none."""
    if isinstance(problem, Classification):
        return coded(column).places_in([text_of(label) for label in problem.classes])
    return column.cast(pa.float64()).to_numpy()


def _quality_of(rows: pa.Table, profiling: Profiling) -> Quality:
    problem = profiling.problem
    others = rows[UNRETRAINED] if UNRETRAINED in rows.column_names else None
    if isinstance(problem, Regression):
        values = (rows[PREDICTION].to_pylist(), rows[profiling.label].to_pylist())
        return RegressionFacts.of(
            *values, problem.tolerance, None if others is None else others.to_pylist()
        )
    names = [f"_p{n}" for n in range(len(problem.classes))]
    return QualityFacts.of(
        rows[PREDICTION],
        rows[profiling.label],
        rows.select(names).to_pandas(),
        problem.classes,
        problem.positive if problem.is_binary else None,
        others,
    )


def _is_in_training(rows: pa.Table, version: str, profiling: Profiling) -> pa.Array:
    """Return which rows lie between the first and the last one that the version was trained on."""
    moments, span = rows["_moment"], profiling.trained_spans.get(version)
    if span is None:
        return pa.repeat(False, len(rows))
    first, last = (pa.scalar(end, moments.type) for end in span)
    return pc.and_(pc.greater_equal(moments, first), pc.less_equal(moments, last))


def profiles_of(
    rows: pa.Table,
    specs: Iterable[ColumnSpec],
    edges: Mapping[str, tuple[float, ...]],
    kept: int = WINDOW_VALUES,
) -> dict[str, ColumnProfile]:
    """The profile of each monitored column present; arguments as for `ColumnProfile.of`."""
    present = [spec for spec in specs if spec.name in rows.column_names]
    return {
        spec.name: ColumnProfile.of(rows[spec.name], spec, edges.get(spec.name), kept)
        for spec in present
    }


def profiled_parts(
    rows: DataFrame, specs: tuple[ColumnSpec, ...], edges: Mapping[str, tuple[float, ...]]
) -> DataFrame:
    """The profile of each batch of the rows, as a JSON document in the column `document`."""

    def profile(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = profiles_of(pa.Table.from_batches([batch]), specs, edges, BASELINE_VALUES)
            yield pa.RecordBatch.from_pydict({"document": [json.dumps(to_document(columns))]})

    return rows.mapInArrow(profile, "document string")
