"""The facts of base windows without a query of Spark's: the same, on the driver or in tasks."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.compute import Expression

from lakehouse.instants import ARROW_MOMENT, instants
from lakehouse.labels.label_batch import labels_of
from lakehouse.models import Classification, problem_of
from lakehouse.monitoring import transforms
from lakehouse.monitoring.affected import AffectedWindows
from lakehouse.monitoring.transforms import UNRETRAINED, Profiling
from lakehouse.monitoring.windows import WindowFacts
from lakehouse.profiling.columns import text_of
from lakehouse.scoring.transforms import ScoringModel, predicted_here
from lakehouse.settings import EnvironmentSettings, ModelSettings
from lakehouse.settings.reserved import PREDICTION
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.partitions import since_moment
from lakehouse.versions.feature_columns import joined_columns


@dataclass(frozen=True)
class Unretrained:
    """How to tell what the first promoted model would have predicted.

    Attributes:
        is_only: whether no other one was promoted: what was predicted is its answer.
        model: the model; None where it is the only one, or its file is gone.
        sources: for each feature of it, the columns of the predictions that hold its values.
    """

    is_only: bool
    model: ScoringModel | None = None
    sources: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class WindowProfiler:
    """Computes the facts of base windows from silver, on the driver or in a task.

    Only for settings that ask for no slices, no custom metrics, and no columns that predictions do
    not have: the others are for Spark (`transforms.is_wide`).

    Attributes:
        lakehouse: whose silver tables are read.
        profiling: how rows become facts.
        unretrained: what the first model would have predicted.
    """

    lakehouse: Lakehouse
    profiling: Profiling
    unretrained: Unretrained

    def for_workers(self) -> "WindowProfiler":
        """A copy for tasks: a worker has no session, and credentials for MLflow stay here."""
        store = self.lakehouse.store
        no_session: Any = None
        alone = replace(
            self.lakehouse,
            environment=EnvironmentSettings(root=store.root),
            store=replace(store, spark=no_session),
        )
        return replace(self, lakehouse=alone)

    def facts(self, affected: AffectedWindows) -> list[WindowFacts]:
        """The facts of what is affected."""
        lakehouse = self.lakehouse
        where = is_in_span(lakehouse.model, affected)
        near = lakehouse.store.arrow(lakehouse.catalog.predictions, where)
        predictions = _windowed(lakehouse, near, affected.holds)
        if not len(predictions):
            return []
        primary = _with_labels(lakehouse, _with_unretrained(predictions, self.unretrained))
        windows = _in_windows(lakehouse, primary)
        return [transforms.facts_of_rows(rows, self.profiling) for rows in windows]


def is_in_span(model: ModelSettings, affected: AffectedWindows) -> Expression:
    """Whether a prediction lies between the first and the last moment that is affected."""
    start, end = affected.span
    is_before_end = pc.field(model.event_time) <= pa.scalar(end, ARROW_MOMENT)
    return since_moment(model.event_time, start) & is_before_end


def _windowed(
    lakehouse: Lakehouse, rows: pa.Table, is_affected: Callable[[dt.datetime], bool]
) -> pa.Table:
    """The rows whose base window is asked for, with its start."""
    width = np.timedelta64(lakehouse.model.metrics.base_window, "us").astype(int)
    moments = instants(rows[lakehouse.model.event_time]).astype(np.int64)
    starts = pa.array(moments // width * width, ARROW_MOMENT)
    affected = {start for start in starts.unique().to_pylist() if is_affected(start)}
    is_kept = pc.is_in(starts, pa.array(sorted(affected), starts.type))
    return rows.append_column("_window", starts).filter(is_kept)


def _with_unretrained(rows: pa.Table, unretrained: Unretrained) -> pa.Table:
    """The rows with what the first model would have predicted; without it where it is not known."""
    if unretrained.is_only:
        return rows.append_column(UNRETRAINED, rows[PREDICTION])
    if unretrained.model is None:
        return rows
    frame = joined_columns(rows, unretrained.sources, []).to_pandas()
    predicted = predicted_here(frame, unretrained.model, rows[PREDICTION].type)
    return rows.append_column(UNRETRAINED, predicted)


def _with_labels(lakehouse: Lakehouse, rows: pa.Table) -> pa.Table:
    """The rows with their label; null where none has come."""
    model, key = lakehouse.model, lakehouse.model.key
    labels = labels_of(lakehouse, rows[key])
    place = pd.Index(labels[key].to_pandas()).get_indexer(rows[key].to_pandas())
    label_place = pa.array(place, pa.int64(), mask=place < 0)
    return rows.append_column(model.labels.label, labels[model.labels.label].take(label_place))


def _in_windows(lakehouse: Lakehouse, primary: pa.Table) -> Iterator[pa.Table]:
    """The rows of each window and version, by key, in the columns that `facts_of_rows` asks for."""
    model, size = lakehouse.model, len(primary)
    problem = problem_of(model)
    classes = problem.classes if isinstance(problem, Classification) else ()
    columns = {name: primary[name] for name in primary.column_names if name != "probability"}
    columns |= {
        "_version": primary["model_version"],
        "_slice_key": pa.nulls(size, pa.string()),
        "_slice_value": pa.nulls(size, pa.string()),
        "_key": primary[model.key],
        "_moment": primary[model.event_time],
    }
    for place, label in enumerate(classes):
        columns[f"_p{place}"] = _probability(primary["probability"], text_of(label))
    rows = pa.table(columns)
    order = [("_window", "ascending"), ("_version", "ascending"), ("_key", "ascending")]
    rows = rows.sort_by(order)
    starts, versions = rows["_window"].to_pandas(), rows["_version"].to_pandas()
    begins = np.flatnonzero((starts != starts.shift()) | (versions != versions.shift()))
    for begin, end in zip(begins, [*begins[1:], size], strict=True):
        yield rows.slice(begin, end - begin)


def _probability(probabilities: pa.ChunkedArray, label: str) -> pa.ChunkedArray:
    """Of a class; 0 by a version that did not know it, null where there is none."""
    given = pc.map_lookup(probabilities, pa.scalar(label), "first")
    or_zero = pc.fill_null(given, 0.0)
    return pc.if_else(pc.is_valid(probabilities), or_zero, pa.scalar(None, pa.float64()))
