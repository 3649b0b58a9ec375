"""Production's labelled predictions: additive counts from gold, single rows of a stretch of time
from silver.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.instants import instant, instants, moment_of
from lakehouse.labels.label_batch import labelled_readings, start_of_newest
from lakehouse.labels.labelled_rows import LABEL_TIME, labelled_between
from lakehouse.models import Features, Meaning, problem_of
from lakehouse.retraining.policy.detection.diagnose import Shifts
from lakehouse.retraining.policy.history import History
from lakehouse.retraining.policy.records import BinCounts
from lakehouse.retraining.policy.triggers import Window
from lakehouse.retraining.promoted_models import LabelledFrame, PromotedModels
from lakehouse.retraining.signals import (
    facts_read_from,
    metric_windows,
    outage_since,
    shifts_of,
)
from lakehouse.settings.reserved import PREDICTION
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.partitions import since_day
from lakehouse.versions.feature_columns import unknown_to_settings


class TablePredictions:
    """See `ports.LabelledPredictions`."""

    def __init__(self, models: PromotedModels, as_of: dt.datetime, history: History) -> None:
        """Read nothing yet.

        Args:
            models: what was promoted.
            as_of: newest label time that the facts have taken in.
            history: what the ledgers tell.
        """
        self._models, self.as_of, self.history = models, as_of, history
        self.lakehouse: Lakehouse = models.lakehouse
        self._problem = problem_of(self.lakehouse.model)

    @cached_property
    def hours(self) -> pa.Table:
        """The base windows since the change, or the drift period, began: rows, labelled ones,
        counts by expected error.
        """
        catalog, where = self.lakehouse.catalog, pc.field("slice_key").is_null()
        since = facts_read_from(self.history, self.as_of, self.lakehouse.model)
        days = None if since is None else since_day(since)
        columns = {
            name: pc.field(name) for name in ("window_start", "model_version", "by_difficulty")
        }
        columns |= {
            "labelled": pc.field("quality", "n_labelled"),
            "rows": pc.field("quality", "n_rows"),
        }
        return self.lakehouse.store.arrow(catalog.window_facts, where, columns, days)

    @cached_property
    def _starts(self) -> np.ndarray:
        """When each of the base windows begins."""
        return instants(self.hours["window_start"])

    @cached_property
    def labelled(self) -> int:
        """See `LabelledPredictions`."""
        champion = self.history.champion_record
        if self.history.champion is None:
            return labelled_readings(self.lakehouse)
        starts, labelled = self._starts, self.hours["labelled"].to_numpy()
        if champion is None or champion.changed_at is None:
            return int(labelled.sum())
        width = np.timedelta64(self.lakehouse.model.metrics.base_window)
        end = self._window_start(champion.changed_at) + width
        within = self.predictions(moment_of(champion.changed_at), moment_of(end))
        return int(labelled[starts >= end].sum()) + len(within)

    def counts(self, since: np.datetime64 | None = None) -> BinCounts:
        """See `LabelledPredictions`; at a high rate of the stream only the newest hours are
        by row.
        """
        if since is None:
            return self._by_hour
        since = self._read_from(since)
        counts, rows = self._by_hour, self.predictions(moment_of(since), None)
        return joined(
            counts.take(counts.hour < since), self.row_counts(rows[self._is_new(rows)])[0]
        )

    def labelled_after(self, moment: np.datetime64, most: int) -> LabelledFrame | None:
        """See `LabelledPredictions`."""
        if int(self.hours["labelled"].to_numpy()[self._starts >= moment].sum()) > most:
            return None
        rows = self.newest_labelled(moment_of(moment) - self.lakehouse.model.labels.horizon)
        rows = rows[instants(rows[LABEL_TIME]) > moment]
        return self._framed(rows) if 0 < len(rows) <= most else None

    def made_since(self, moment: np.datetime64) -> LabelledFrame:
        """See `LabelledPredictions`."""
        return self._framed(self.newest_labelled(moment_of(moment)))

    def shifts(self) -> Shifts:
        """See `LabelledPredictions`."""
        return shifts_of(self.lakehouse, str(self.history.champion), self.as_of)

    def metrics(self) -> Mapping[str, Sequence[Window]]:
        """See `LabelledPredictions`."""
        return metric_windows(self.lakehouse, str(self.history.champion))

    def without_labels_since(self) -> np.datetime64 | None:
        """See `LabelledPredictions`."""
        return outage_since(self.lakehouse.model, self.hours)

    def unshared_meaning(self) -> Sequence[str]:
        """See `LabelledPredictions`."""
        ledger, champion = self._models.ledger, str(self.history.champion)
        meaning = ledger.meaning(champion)
        difference, gone = (
            meaning.difference(Meaning.of(self.lakehouse.model)),
            unknown_to_settings(ledger, meaning),
        )
        words = (
            [f"version {champion} {difference}; the next training follows the settings"]
            if difference
            else []
        )
        return words + [f"{name} does not come any more and counts as missing" for name in gone]

    @cached_property
    def _by_hour(self) -> BinCounts:
        """By hour: facts may be of finer windows, which must not change when to retrain."""
        return _floored(joined(self._of_period, self.row_counts(self._old_rows)[0]))

    def _framed(self, rows: pd.DataFrame) -> LabelledFrame:
        return LabelledFrame(self._models, rows.reset_index(drop=True), self.history)

    def predictions(self, start: dt.datetime, end: dt.datetime | None) -> pd.DataFrame:
        """The predictions of a stretch of time (without its end) whose label has come, with it, in
        order of time.
        """
        return labelled_between(self._models.ledger, self._features, self.as_of, start, end)

    def newest_labelled(self, start: dt.datetime, end: dt.datetime | None = None) -> pd.DataFrame:
        """The newest of them, as many as a training takes (`training.max_rows`, and what is left of
        a base window).

        So what a decision reads is bounded, whatever the rate of the stream.
        """
        return self.predictions(max(start, self._start_of_newest(end) or start), end)

    def row_counts(self, predictions: pd.DataFrame) -> tuple[BinCounts, np.ndarray]:
        """A count per labelled prediction, and the prediction that its label is held against.

        One that a version of an earlier drift period made counts as the champion would have made it
        that was in production when its label came: else a new drift period would be blind for as
        long as labels take.
        """
        model = self.lakehouse.model
        labels, predicted = (
            np.array(self._problem.targets(predictions[name]))
            for name in (model.labels.label, PREDICTION)
        )
        version = predictions["model_version"].astype(int).to_numpy()
        stale = ~np.isin(version, sorted(self.history.drift_period))
        version = np.where(
            stale, self.history.champions_at(instants(predictions[LABEL_TIME])), version
        )
        bins = np.zeros(len(predictions), dtype=np.int64)
        # Each version has its own expected error, so its rows are binned by themselves.
        for each in np.unique(version):
            if int(each) not in self.history.records:
                continue
            own = version == each
            if (own & stale).any():
                predicted[own & stale] = self._models.predicted(int(each), predictions[own & stale])
            bins[own] = self._bins(int(each), predictions[own], predicted[own])
        ones, wrong = (
            np.ones(len(predictions), dtype=np.int64),
            ~self._problem.is_right(predicted, labels),
        )
        counts = BinCounts(
            instants(predictions[model.event_time]), version, bins, ones, wrong.astype(np.int64)
        )
        return counts, predicted

    @cached_property
    def _features(self) -> Features:
        return self._models.features(self.history)

    def _start_of_newest(self, end: dt.datetime | None) -> dt.datetime | None:
        """Return when the newest labelled rows before the end begin, as many as may be read; None
        where all may be.
        """
        starts, labelled = self._starts, self.hours["labelled"].to_numpy()
        before = np.ones(len(starts), dtype=bool) if end is None else starts < instant(end)
        found = start_of_newest(
            starts[before], labelled[before], self.lakehouse.model.training.max_rows
        )
        return None if found is None else moment_of(found)

    def _read_from(self, since: np.datetime64) -> np.datetime64:
        """The first full hour since then of which all rows may be read."""
        start = self._start_of_newest(None)
        if start is None:
            return since
        hour = instant(start).astype("datetime64[h]")
        return max(since, (hour + (hour < instant(start))).astype("datetime64[us]"))

    def _bins(self, version: int, rows: pd.DataFrame, predicted: np.ndarray) -> np.ndarray:
        """In which bins of a version's expected error its predictions are."""
        return self._models.bins(version, self.history.records[version], rows, predicted)

    @property
    def _began(self) -> np.datetime64:
        return self.history.began if self.history.began is not None else instant(self.as_of)

    def _window_start(self, moment: np.datetime64) -> np.datetime64:
        width = np.timedelta64(self.lakehouse.model.metrics.base_window, "us").astype(int)
        return np.datetime64(
            int(moment.astype("datetime64[us]").astype(int) // width * width), "us"
        )

    @cached_property
    def _first_hour(self) -> np.datetime64:
        """The first base window that begins with the drift period or later."""
        start = self._window_start(self._began)
        width = np.timedelta64(self.lakehouse.model.metrics.base_window)
        return start if start == self._began else start + width

    @cached_property
    def _is_of_period(self) -> np.ndarray:
        """Which of the hours are counts of the drift period's versions since it began."""
        own = np.isin(
            self.hours["model_version"].to_numpy().astype(int), sorted(self.history.drift_period)
        )
        return own & (self._starts >= self._first_hour)

    @property
    def _of_period(self) -> BinCounts:
        """The counts of the drift period's versions since it began, by base window."""
        table = self.hours.filter(pa.array(self._is_of_period))
        hour = instants(table["window_start"])
        version = table["model_version"].to_numpy().astype(int)
        # A window's counts are a list with an entry per bin: one count per entry.
        lists = table["by_difficulty"].combine_chunks()
        if len(table):
            entries, cells = lists.fill_null([]).value_lengths().to_numpy(), lists.flatten()
        else:
            entries, cells = np.empty(0, dtype=int), pa.array([], lists.type.value_type)
        bins, labelled, wrong = (
            pc.struct_field(cells, name).to_numpy() for name in ("bin", "labelled", "wrong")
        )
        return BinCounts(
            np.repeat(hour, entries), np.repeat(version, entries), bins, labelled, wrong
        )

    @property
    def _old_rows(self) -> pd.DataFrame:
        """The rows of earlier versions, or from before the drift period, whose labels came since it
        began.

        They are as many as a label horizon holds, however long the drift period.
        """
        model = self.lakehouse.model
        starts = self._starts
        # Hours since the period began that an older version still predicted in.
        late = starts[
            ~self._is_of_period
            & (self.hours["labelled"].to_numpy() > 0)
            & (starts >= self._first_hour)
        ]
        end = late.max(initial=self._first_hour - 1) + np.timedelta64(model.metrics.base_window)
        predictions = self.newest_labelled(
            moment_of(self._began) - model.labels.horizon, moment_of(max(end, self._first_hour))
        )
        own = np.isin(
            predictions["model_version"].astype(int).to_numpy(), sorted(self.history.drift_period)
        )
        # The facts hold these already (`_of_period`).
        counted = own & (instants(predictions[model.event_time]) >= self._first_hour)
        return predictions[self._is_new(predictions) & ~counted]

    def _is_new(self, predictions: pd.DataFrame) -> np.ndarray:
        """Return whether the label came since the drift period began."""
        return instants(predictions[LABEL_TIME]) > self._began


def joined(*parts: BinCounts) -> BinCounts:
    """The counts of all parts."""
    columns = ("hour", "version", "bin", "labelled", "wrong")
    return BinCounts(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def _floored(counts: BinCounts) -> BinCounts:
    """By hour."""
    hours = counts.hour.astype("datetime64[h]").astype("datetime64[us]")
    return replace(counts, hour=hours)
