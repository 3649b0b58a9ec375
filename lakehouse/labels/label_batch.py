"""The label batch that a decision rests on. "Now" is the newest label that has landed."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.compute import Expression
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.instants import moment_of
from lakehouse.settings import ModelSettings
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.partitions import among_keys, since_day
from lakehouse.tables import IS_CORRECTION
from lakehouse.versions.ledger import PromotionLedger

LOOK_BACK = dt.timedelta(days=14)
"""How far back, beyond the label horizon, one looks for what the newest labels have touched."""

_FIRST_STRETCH = dt.timedelta(days=32)


def newest_label(ledger: PromotionLedger, since: dt.datetime | None) -> dt.datetime | None:
    """The newest label time: with a champion, the one that the facts have taken in.

    Args:
        ledger: of promotions.
        since: as-of of the last decision, before which nothing is looked for.
    """
    newest = _newest_in_gold if ledger.champion else _newest_in_silver
    return newest(ledger.lakehouse, since)


def recorded_as_of(lakehouse: Lakehouse, near: dt.datetime | None) -> dt.datetime | None:
    """The newest label time in the facts; only of the weeks before `near`, if given."""
    since = near and near - lakehouse.model.labels.horizon - LOOK_BACK
    days = since_day(since) if since else None
    rows = lakehouse.store.rows(lakehouse.catalog.window_facts, columns=["as_of"], partitions=days)
    return max((row["as_of"] for row in rows if row["as_of"]), default=None)


def start_of_newest(starts: np.ndarray, labelled: np.ndarray, rows: int) -> np.datetime64 | None:
    """The newest window with at least so many labelled rows from it on; None if there is none.

    Args:
        starts: of the windows; one may come more than once.
        labelled: rows with a label in each.
        rows: how many are wanted.
    """
    windows, place = np.unique(starts, return_inverse=True)
    from_each_on = np.bincount(place, labelled, len(windows))[::-1].cumsum()[::-1]
    return max(windows[from_each_on >= rows], default=None)


def start_of_trainable(lakehouse: Lakehouse, as_of: dt.datetime) -> dt.datetime | None:
    """Return the event time from which on a training takes rows; None where it takes all.

    Ever longer stretches are looked at, so that what is read follows from the rows wanted, not from
    history.
    """
    store, facts, stretch = lakehouse.store, lakehouse.catalog.window_facts, _FIRST_STRETCH
    columns = {"start": pc.field("window_start"), "labelled": pc.field("quality", "n_labelled")}
    first_day = min(store.days(facts), default=as_of.date())
    # A stretch that ends within the table is doubled until it has the rows wanted.
    while True:
        since = as_of - stretch
        newest = store.arrow(facts, pc.field("slice_key").is_null(), columns, since_day(since))
        starts = newest["start"].cast("timestamp[us]").to_numpy()
        start = start_of_newest(
            starts, newest["labelled"].to_numpy(), lakehouse.model.training.max_rows
        )
        if start is not None or since.date() <= first_day:
            return None if start is None else moment_of(start)
        stretch *= 2


def labelled_readings(lakehouse: Lakehouse) -> int:
    """Return how many readings have a label that can be learned."""
    key = lakehouse.model.key
    readings = lakehouse.store.read(lakehouse.catalog.readings).select(key)
    labels = with_active_labels(labels_in_force(lakehouse), lakehouse.model)
    return readings.join(labels.select(key), key).count()


def labels_in_force(lakehouse: Lakehouse, version: int | None = None) -> DataFrame:
    """Silver's labels, one a key: where a label was corrected, the one of the latest label time.

    Of labels of the same label time, the one that landed last counts.
    """
    model, store, table = lakehouse.model, lakehouse.store, lakehouse.catalog.labels
    labels = store.read(table, version)
    if not has_corrections(lakehouse):
        return labels
    last_first = [
        F.col(name).desc_nulls_last() for name in (model.labels.time, "landed_file_id", "line")
    ]
    place = F.row_number().over(Window.partitionBy(model.key).orderBy(*last_first))
    return labels.withColumn("_place", place).where(F.col("_place") == 1).drop("_place")


def labels_here(
    lakehouse: Lakehouse, where: Expression | None = None, version: int | None = None
) -> pa.Table:
    """`labels_in_force` without Spark, for what is small: key, label time and label.

    Args:
        lakehouse: whose labels they are.
        where: which labels are looked at; a label that it leaves out replaces none.
        version: of the Delta table; now without it.
    """
    model, store, table = lakehouse.model, lakehouse.store, lakehouse.catalog.labels
    columns = [model.key, model.labels.time, model.labels.label]
    if not has_corrections(lakehouse):
        return store.arrow(table, where, columns, version=version)
    labels = store.arrow(table, where, [*columns, "landed_file_id", "line"], version=version)
    return latest_labels(labels, model).select(columns)


def labels_of(
    lakehouse: Lakehouse, keys: pa.ChunkedArray, where: Expression | None = None
) -> pa.Table:
    """`labels_here` of some keys; others are not held, however many lie between these.

    Args:
        lakehouse: whose labels they are.
        keys: one at least.
        where: see `labels_here`.
    """
    asked = among_keys(lakehouse.model.key, keys)
    return labels_here(lakehouse, asked if where is None else asked & where)


def latest_labels(labels: pa.Table, model: ModelSettings) -> pa.Table:
    """`labels_in_force` of an Arrow table, which must hold each label's landed file and line."""
    order = [
        (model.labels.time, "ascending"),
        ("landed_file_id", "ascending"),
        ("line", "ascending"),
    ]
    ordered = labels.sort_by(order).append_column("_place", pa.array(np.arange(len(labels))))
    last = ordered.group_by(model.key).aggregate([("_place", "max")])["_place_max"]
    return ordered.take(last.sort()).drop_columns("_place")


def has_corrections(lakehouse: Lakehouse) -> bool:
    """Return whether a key may have more than one label."""
    return lakehouse.store.has_any(lakehouse.catalog.labels, IS_CORRECTION)


def with_active_labels(labels: DataFrame, model: ModelSettings) -> DataFrame:
    """The labels but for those of a class that the settings do not name any more."""
    retired = list(model.retired_classes)
    return labels.where(~F.col(model.labels.label).isin(retired)) if retired else labels


def _newest_in_gold(lakehouse: Lakehouse, since: dt.datetime | None) -> dt.datetime | None:
    """The newest label time in the facts: a decision rests on no label that is still to come."""
    return max(filter(None, (recorded_as_of(lakehouse, since), since)), default=None)


def _newest_in_silver(lakehouse: Lakehouse, since: dt.datetime | None) -> dt.datetime | None:
    """The newest label time in silver; skips files older than the last decision."""
    labels, label_time = lakehouse.store.read(lakehouse.catalog.labels), lakehouse.model.labels.time
    rows = labels if since is None else labels.where(F.col(label_time) >= F.lit(since))
    return rows.agg(F.max(label_time).alias("newest")).toArrow()["newest"][0].as_py()
