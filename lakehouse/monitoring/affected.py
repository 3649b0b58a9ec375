"""Which base windows and days a micro-batch, or a backfill, affects."""

import datetime as dt
import math
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.calendar import DAY, HOUR, midnight
from lakehouse.monitoring import transforms
from lakehouse.storage.lakehouse import Lakehouse


@dataclass(frozen=True)
class AffectedWindows:
    """What to compute anew: base windows, whole days, and the newest label time among it."""

    windows: frozenset[dt.datetime] = frozenset()
    days: frozenset[dt.date] = frozenset()
    newest_label: dt.datetime | None = None

    def holds(self, window_start: dt.datetime) -> bool:
        """Return whether that base window is to be computed anew."""
        return window_start in self.windows or window_start.date() in self.days

    @property
    def all_days(self) -> frozenset[dt.date]:
        """The days that it has a window of."""
        return self.days | {start.date() for start in self.windows}

    @property
    def span(self) -> tuple[dt.datetime, dt.datetime]:
        """From the first moment to the last; there must be one."""
        days = list(map(midnight, self.days))
        # A base window is an hour at most.
        ends = [*(start + HOUR for start in self.windows), *(start + DAY for start in days)]
        return min([*self.windows, *days]), max(ends)

    def starts(self, width: dt.timedelta) -> set[dt.datetime]:
        """The starts of all its base windows, of that width."""
        places = range(DAY // width)
        return {*self.windows, *(midnight(day) + n * width for day in self.days for n in places)}

    def stretches(self, width: dt.timedelta, parts: int) -> list["AffectedWindows"]:
        """Its base windows in parts of the same size, each of neighbours.

        A part ends, besides, where no window follows within a day: what lies between is not read.

        Args:
            width: of a base window.
            parts: how many, without such gaps.
        """
        windows = sorted(self.starts(width))
        size = math.ceil(len(windows) / parts)
        found: list[list[dt.datetime]] = []
        for window in windows:
            if found and len(found[-1]) < size and window - found[-1][-1] <= DAY:
                found[-1].append(window)
            else:
                found.append([window])
        return [AffectedWindows(frozenset(part)) for part in found]


def affected_by(lakehouse: Lakehouse, rows: DataFrame) -> AffectedWindows:
    """The base windows of new predictions, and of predictions that have a new label."""
    model = lakehouse.model
    key, width = model.key, model.metrics.base_window
    is_label = F.col("_kind") == transforms.LABEL
    label_key = F.when(is_label, F.col(key))
    window = F.when(~is_label, transforms.window_start("_moment", width))
    summary = rows.agg(
        F.collect_set(window).alias("windows"),
        F.min(label_key).alias("least"),
        F.max(label_key).alias("greatest"),
        F.max(F.when(is_label, F.col("_moment"))).alias("newest_label"),
    )
    (news,) = summary.toArrow().to_pylist()
    windows = set(news["windows"])
    if news["newest_label"] is not None:
        predicted = lakehouse.store.read(lakehouse.catalog.predictions)
        candidates = predicted.where(F.col(key).between(news["least"], news["greatest"]))
        labelled = candidates.join(rows.where(is_label).select(key), key, "left_semi")
        start = transforms.window_start(model.event_time, width).alias("start")
        windows |= set(labelled.select(start).distinct().toArrow()["start"].to_pylist())
    return AffectedWindows(frozenset(windows), newest_label=news["newest_label"])
