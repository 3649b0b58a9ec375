"""The labelled rows of a training: the newest ones, at recorded Delta versions."""

import datetime as dt
from collections.abc import Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from lakehouse.instants import ARROW_MOMENT
from lakehouse.labels.label_batch import (
    labels_here,
    labels_in_force,
    start_of_trainable,
    with_active_labels,
)
from lakehouse.labels.labelled_rows import LABEL_TIME
from lakehouse.models import Features
from lakehouse.models.expected_error.encoding import feature_of
from lakehouse.retraining.policy.history import History
from lakehouse.retraining.promoted_models import LabelledFrame, PromotedModels
from lakehouse.storage.partitions import covering_keys_of
from lakehouse.versions.feature_columns import joined_columns, sources_of, with_features
from lakehouse.versions.ledger import PromotionLedger

_MOST_READINGS = 5
"""Of this many times the rows of a training, readings and labels are joined without Spark."""


class TrainingRows(LabelledFrame):
    """Labelled rows that may be trained on.

    Attributes:
        versions: Delta versions that they were read at, by table.
        current: the columns of the policy's matrix that belong to features of the settings.
    """

    def __init__(
        self,
        models: PromotedModels,
        frame: pd.DataFrame,
        history: History,
        versions: Mapping[str, int],
    ):
        """As `LabelledFrame`, with the versions."""
        super().__init__(models, frame, history)
        features = set(models.lakehouse.model.predictions.features)
        self.versions = versions
        self.current = tuple(name for name in self.rows.names if feature_of(name) in features)


def training_rows(models: PromotedModels, as_of: dt.datetime, history: History) -> TrainingRows:
    """The newest labelled rows, at the Delta versions of now; `as_of` is the newest label time that
    has landed.
    """
    lakehouse = models.lakehouse
    versions = lakehouse.store.versions(lakehouse.catalog.readings, lakehouse.catalog.labels)
    frame = labelled_rows(models.ledger, versions, as_of, models.features(history))
    return TrainingRows(models, frame, history, versions)


def labelled_rows(
    ledger: PromotionLedger, versions: Mapping[str, int], as_of: dt.datetime, features: Features
) -> pd.DataFrame:
    """The newest labelled readings, in order of event time, at the given Delta versions (of that
    label time).

    Rows whose label is a class that the settings do not name any more are left out. What is read
    grows with `training.max_rows`, not with history: gold tells where so many rows begin.
    """
    since = start_of_trainable(ledger.lakehouse, as_of)
    found = _joined_here(ledger, versions, features, since)
    if found is None:
        found = _joined_by_spark(ledger, versions, features, since)
    return found


def _joined_here(
    ledger: PromotionLedger,
    versions: Mapping[str, int],
    features: Features,
    since: dt.datetime | None,
) -> pd.DataFrame | None:
    """See `labelled_rows`; without Spark. None where the tables have too many rows for that."""
    lakehouse = ledger.lakehouse
    model, catalog, store = lakehouse.model, lakehouse.catalog, lakehouse.store
    of_readings, of_labels = (
        versions[each.full_name] for each in (catalog.readings, catalog.labels)
    )
    start = None if since is None else pa.scalar(since, ARROW_MOMENT)
    newest = None if start is None else pc.field(model.event_time) >= start
    most = _MOST_READINGS * model.training.max_rows
    if store.count(catalog.readings, newest) + store.count(catalog.labels) > most:
        return None
    sources = sources_of(ledger, catalog.readings, features.names)
    others = list(dict.fromkeys([model.key, model.event_time, *model.metrics.columns]))
    wanted = dict.fromkeys([*others, *(name for names in sources.values() for name in names)])
    readings = store.arrow(catalog.readings, newest, list(wanted), version=of_readings)
    labels = labels_here(lakehouse, version=of_labels)
    dated = labels.to_pandas().rename(columns={model.labels.time: LABEL_TIME})
    dated = dated[~dated[model.labels.label].isin(model.retired_classes)]
    joined = joined_columns(readings, sources, others).to_pandas().merge(dated, on=model.key)
    ordered = joined.sort_values([model.event_time, model.key])
    return ordered.tail(model.training.max_rows).reset_index(drop=True)


def _joined_by_spark(
    ledger: PromotionLedger,
    versions: Mapping[str, int],
    features: Features,
    since: dt.datetime | None,
) -> pd.DataFrame:
    """The same, for tables of any size."""
    lakehouse = ledger.lakehouse
    model, catalog, store = lakehouse.model, lakehouse.catalog, lakehouse.store
    readings = store.read(catalog.readings, versions[catalog.readings.full_name])
    labels = with_active_labels(
        labels_in_force(lakehouse, versions[catalog.labels.full_name]), model
    )
    if since is not None:
        readings = readings.where(F.col(model.event_time) >= F.lit(since))
        labels = labels.where(covering_keys_of(readings, model.key))
    sources = sources_of(ledger, catalog.readings, features.names)
    others = list(dict.fromkeys([model.key, model.event_time, *model.metrics.columns]))
    label_time = F.col(model.labels.time).alias(LABEL_TIME)
    joined = with_features(readings, sources, others).join(
        labels.select(model.key, label_time, model.labels.label), model.key
    )
    newest = joined.orderBy(F.col(model.event_time).desc(), F.col(model.key).desc()).limit(
        model.training.max_rows
    )
    return newest.toArrow().to_pandas().iloc[::-1].reset_index(drop=True)
