"""Predictions joined to the labels that have come."""

import datetime as dt

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.instants import ARROW_MOMENT
from lakehouse.labels.label_batch import labels_of
from lakehouse.models import Features
from lakehouse.settings.reserved import PREDICTION
from lakehouse.storage.partitions import since_moment
from lakehouse.versions.feature_columns import joined_columns, sources_of
from lakehouse.versions.ledger import PromotionLedger

LABEL_TIME = "_label_time"  # no model's column begins with an underscore


def labelled_between(
    ledger: PromotionLedger,
    features: Features,
    as_of: dt.datetime,
    start: dt.datetime,
    end: dt.datetime | None,
) -> pd.DataFrame:
    """The labelled predictions of a stretch of time, in order of event time; without Spark.

    Args:
        ledger: of promotions; its versions tell which columns hold a feature.
        features: columns that are wanted, besides key, event time, prediction, version and label.
        as_of: newest label time that counts.
        start: least event time.
        end: event time that all rows are before; None for no end.

    Returns:
        The columns, and LABEL_TIME: when the label came, or was corrected.
    """
    lakehouse = ledger.lakehouse
    model, catalog, store = lakehouse.model, lakehouse.catalog, lakehouse.store
    key, where = model.key, since_moment(model.event_time, start)
    if end is not None:
        where &= pc.field(model.event_time) < _scalar(end)
    sources = sources_of(ledger, catalog.predictions, features.names)
    others = [key, model.event_time, PREDICTION, "model_version"]
    wanted = dict.fromkeys([*others, *(name for names in sources.values() for name in names)])
    found = store.arrow(catalog.predictions, where, list(wanted))
    in_order = [(model.event_time, "ascending"), (key, "ascending")]
    predictions = joined_columns(found, sources, others).sort_by(in_order).to_pandas()
    if not len(predictions):
        return predictions.assign(
            **{LABEL_TIME: pd.Series(dtype="datetime64[us, UTC]"), model.labels.label: None}
        )
    labels = labels_of(lakehouse, found[key], pc.field(model.labels.time) <= _scalar(as_of))
    dated = labels.to_pandas().rename(columns={model.labels.time: LABEL_TIME})
    return predictions.merge(dated, on=key)  # an inner merge keeps the order


def _scalar(moment: dt.datetime) -> pa.Scalar:
    return pa.scalar(moment, ARROW_MOMENT)
