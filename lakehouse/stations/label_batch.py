"""The label batch that a decision rests on: what has landed is now, for no wall clock decides anything."""

import datetime as dt

from pyspark.sql import functions as F

from lakehouse.stations.lakehouse import Lakehouse

LOOK_BACK = dt.timedelta(days=14)
"""How far back, beyond the label horizon, one looks for what the newest labels have touched."""


def newest_label(lakehouse: Lakehouse, since: dt.datetime | None) -> dt.datetime | None:
    """The newest label time: with a champion, the one that the facts have taken in.

    Args:
        lakehouse: whose labels they are.
        since: as-of of the last decision, before which nothing is looked for.
    """
    return _newest_in_gold(lakehouse, since) if lakehouse.registry.champion() else _newest_in_silver(lakehouse, since)


def recorded_as_of(lakehouse: Lakehouse, near: dt.datetime | None) -> dt.datetime | None:
    """The newest label time that the facts have taken in; those of the weeks before `near` alone, if it is given."""
    since = near and near - lakehouse.model.labels.horizon - LOOK_BACK
    days = f"window_date >= '{since.date()}'" if since else None
    rows = lakehouse.store.rows(lakehouse.catalog.window_facts, columns=["as_of"], partitions=days)
    return max((row["as_of"] for row in rows if row["as_of"]), default=None)


def labelled_readings(lakehouse: Lakehouse) -> int:
    """How many readings have a label."""
    key = lakehouse.model.key
    readings = lakehouse.store.read(lakehouse.catalog.readings).select(key)
    return readings.join(lakehouse.store.read(lakehouse.catalog.labels).select(key), key).count()


def _newest_in_gold(lakehouse: Lakehouse, since: dt.datetime | None) -> dt.datetime | None:
    """The newest label time that the facts have taken in: a decision rests on what they know, not on what is coming."""
    return max(filter(None, (recorded_as_of(lakehouse, since), since)), default=None)


def _newest_in_silver(lakehouse: Lakehouse, since: dt.datetime | None) -> dt.datetime | None:
    """The newest label time in silver; files of older labels than the last decision's are skipped."""
    labels, label_time = lakehouse.store.read(lakehouse.catalog.labels), lakehouse.model.labels.time
    rows = labels if since is None else labels.where(F.col(label_time) >= F.lit(since))
    return rows.agg(F.max(label_time).alias("newest")).toArrow()["newest"][0].as_py()
