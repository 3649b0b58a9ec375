"""Evidence for the policy: additive counts from gold, and the labelled predictions of a stretch of time from silver."""

import datetime as dt
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.compute import Expression
from sklearn.pipeline import Pipeline

from lakehouse.estimators import Classification, Features, ModelCache, Regression, features_of, problem_of
from lakehouse.stations.feature_columns import features_read, joined_columns, sources_of
from lakehouse.stations.label_batch import has_corrections, last_told, start_of_newest
from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.stations.promotion import meaning_of, promoted_file, recorded_sha256
from lakehouse.steps.aggregate_kpis import PREDICTION
from lakehouse.steps.policy.candidates import recalled
from lakehouse.steps.policy.document import instant, moment_of
from lakehouse.steps.policy.encoding import matrix_of, names_of
from lakehouse.steps.policy.evidence import BinCounts, Recent, Rows
from lakehouse.steps.policy.history import History
from lakehouse.store import since_day

LABEL_TIME = "_label_time"  # no model's column begins with an underscore
_MODELS = ModelCache()
_STATISTICS_UNIT = dt.timedelta(seconds=1)  # files tell their least and greatest times in milliseconds


@dataclass(frozen=True)
class Evidence:
    """What the policy may look at as of a label batch.

    Attributes:
        lakehouse: whose tables are read.
        history: what the ledgers tell.
        as_of: newest label time that the facts have taken in.
    """

    lakehouse: Lakehouse
    history: History
    as_of: dt.datetime

    @cached_property
    def hours(self) -> pa.Table:
        """The base windows since the change, or the epoch, began: rows, labelled ones, counts by difficulty."""
        champion, catalog = self.history.champion_record, self.lakehouse.catalog
        where, days = pc.field("slice_key").is_null(), None
        if champion is not None and champion.changed_at is not None:
            model, recall = self.lakehouse.model, self.lakehouse.model.policy.detector.recall
            since = moment_of(min(champion.changed_at, champion.epoch, self._began))
            since = min(since, self.as_of - (recall or dt.timedelta())) - model.labels.horizon
            days = since_day(since)
        columns = {name: pc.field(name) for name in ("window_start", "model_version", "by_difficulty")}
        columns |= {"labelled": pc.field("quality", "n_labelled"), "rows": pc.field("quality", "n_rows")}
        return self.lakehouse.store.arrow(catalog.window_facts, where, columns, days)

    @cached_property
    def _starts(self) -> np.ndarray:
        """When each of the base windows begins."""
        return _moments(self.hours["window_start"])

    @cached_property
    def labelled(self) -> int:
        """Labelled predictions since the champion's change; all of them, where there was none."""
        champion = self.history.champion_record
        starts, labelled = self._starts, self.hours["labelled"].to_numpy()
        if champion is None or champion.changed_at is None:
            return int(labelled.sum())
        width = np.timedelta64(self.lakehouse.model.metrics.base_window)
        end = self._window_start(champion.changed_at) + width
        within = self.calls(moment_of(champion.changed_at), moment_of(end))
        return int(labelled[starts >= end].sum()) + len(within)

    @cached_property
    def counts(self) -> BinCounts:
        """The epoch's labelled errors, by hour; facts may be of finer windows, and must not change when to retrain."""
        return _floored(joined(self._of_epoch, self.row_counts(self._old_rows)))

    def dated_counts(self, since: np.datetime64) -> BinCounts:
        """The same, but by row from that hour on; at a high rate of the stream, of the newest hours alone."""
        since = self._read_from(since)
        counts, rows = self.counts, self.calls(moment_of(since), None)
        return joined(counts.take(counts.hour < since), self.row_counts(rows[self._is_new(rows)]))

    def recent(self, since: np.datetime64 | None = None) -> Recent | None:
        """The epoch's newest labelled predictions with their features; None where nothing is looked for in them.

        Args:
            since: hour from which on they are by row, as `dated_counts` are; None where all are by hour.
        """
        found = self._recent
        if found is None:
            return None
        by_hour = _floored(found.counts)
        if since is None:
            return replace(found, counts=by_hour)
        hours = np.where(found.counts.hour < self._read_from(since), by_hour.hour, found.counts.hour)
        return replace(found, counts=replace(by_hour, hour=hours))

    def calls(self, start: dt.datetime, end: dt.datetime | None) -> pd.DataFrame:
        """The predictions of a stretch of time (without its end) whose label has come, with it, in order of time."""
        model, catalog, store = self.lakehouse.model, self.lakehouse.catalog, self.lakehouse.store
        time, key = pc.field(model.event_time), model.key
        where: Expression = time >= _scalar(start - _STATISTICS_UNIT)
        if end is not None:
            where &= time < _scalar(end)
        others, sources = [key, model.event_time, PREDICTION, "model_version"], self._sources
        wanted = dict.fromkeys([*others, *(name for names in sources.values() for name in names)])
        found = joined_columns(store.arrow(catalog.predictions, where, list(wanted)), sources, others).to_pandas()
        found = found[found[model.event_time] >= start]
        if not len(found):
            return found.assign(**{LABEL_TIME: pd.Series(dtype="datetime64[us, UTC]"), model.labels.label: None})
        least, greatest = found[key].min(), found[key].max()
        near = (pc.field(key) >= least) & (pc.field(key) <= greatest)
        near &= pc.field(model.labels.time) <= _scalar(self.as_of)
        columns = [key, model.labels.label, model.labels.time]
        if has_corrections(self.lakehouse):
            labels = last_told(store.arrow(catalog.labels, near, [*columns, "landed_file_id", "line"]), model)
        else:
            labels = store.arrow(catalog.labels, near, columns)
        told = labels.select(columns).to_pandas().rename(columns={model.labels.time: LABEL_TIME})
        both = found.merge(told, on=key)
        return both.sort_values([model.event_time, key], ignore_index=True)

    def newest_calls(self, start: dt.datetime, end: dt.datetime | None = None) -> pd.DataFrame:
        """The newest of them, as many as a training takes (`training.max_rows`, and what is left of a base window).

        So what a decision reads is bounded, whatever the rate of the stream.
        """
        return self.calls(max(start, self._start_of_newest(end) or start), end)

    def row_counts(self, calls: pd.DataFrame) -> BinCounts:
        """A count per labelled prediction.

        One that a version of an earlier epoch made counts as the champion would have made it that was in production
        when its label came: else a new epoch would be blind for as long as labels take.
        """
        codes, predicted = (self.codes(calls[name]) for name in (self.lakehouse.model.labels.label, PREDICTION))
        version = calls["model_version"].astype(int).to_numpy()
        stale = ~np.isin(version, sorted(self.history.epoch))
        version = np.where(stale, self.history.champions_at(_moments(calls[LABEL_TIME])), version)
        bins = np.zeros(len(calls), dtype=np.int64)
        for each in np.unique(version):
            if int(each) not in self.history.records:
                continue
            own = version == each
            if (own & stale).any():
                predicted[own & stale] = self.called_by(int(each), calls[own & stale])
            bins[own] = self._bins(int(each), calls[own], predicted[own])
        ones = np.ones(len(calls), dtype=np.int64)
        moments = _moments(calls[self.lakehouse.model.event_time])
        return BinCounts(moments, version, bins, ones, (predicted != codes).astype(np.int64))

    def called_by(self, version: int, calls: pd.DataFrame) -> np.ndarray:
        """The class code that a promoted version gives each row."""
        meaning, model = meaning_of(self.lakehouse, str(version)), self._model(version)
        if not len(calls):
            return np.empty(0, dtype=np.int64)
        own = meaning.problem.predicted(meaning.problem.outputs(model, meaning.features.frame(calls)))
        return own if isinstance(meaning.problem, Regression) else self.codes(pd.Series(meaning.problem.classes))[own]

    def classes_of(self, version: int) -> np.ndarray:
        """The codes of the classes that a promoted version can call."""
        known = meaning_of(self.lakehouse, str(version)).problem
        assert isinstance(known, Classification)
        return self.codes(pd.Series(known.classes))[self._model(version).classes_]

    def _model(self, version: int) -> Pipeline:
        sha256 = recorded_sha256(self.lakehouse, str(version))
        return _MODELS.get(sha256, lambda: promoted_file(self.lakehouse, str(version)))

    @cached_property
    def features(self) -> Features:
        """The features of the settings, then those that versions on record read besides."""
        return features_read(self.lakehouse, map(str, self.history.records))

    @cached_property
    def _sources(self) -> dict[str, list[str]]:
        """Columns of the predictions that hold each of them."""
        return sources_of(self.lakehouse, self.lakehouse.catalog.predictions, self.features.names)

    def codes(self, values: pd.Series) -> np.ndarray:
        """Class codes of labels or predictions."""
        return np.array(problem_of(self.lakehouse.model).targets(values))

    def rows_of(self, labelled: pd.DataFrame) -> Rows:
        """Labelled rows as the policy has them."""
        model = self.lakehouse.model
        table = pa.Table.from_pandas(self.features.frame(labelled), preserve_index=False)
        names = names_of(table, features_of(model), self.history.names)
        made, told = _moments(labelled[model.event_time]), _moments(labelled[LABEL_TIME])
        codes = self.codes(labelled[model.labels.label])
        return Rows(names, matrix_of(table, names), codes, made, told, len(model.classes))

    @cached_property
    def _recent(self) -> Recent | None:
        """See `recent`; all by row. What is read is the newest stretch alone, however long the epoch."""
        champion, policy = self.history.champion_record, self.lakehouse.model.policy
        labelled = self.counts.hour[self.counts.labelled > 0]
        if champion is None or policy.detector.recall is None or not len(labelled):
            return None
        versions = recalled(self.history.archive, champion, self.history.versions, policy.candidates)
        recall = np.timedelta64(policy.detector.recall)
        rows = self.newest_calls(moment_of(labelled.max() - recall))
        rows = rows[self._is_new(rows)]
        if not len(rows):
            return None
        counts = self.row_counts(rows)
        late = counts.hour > counts.hour.max() - recall
        rows = rows[late]
        archived = {version: self._bins(version, rows, self.called_by(version, rows)) for version in versions}
        return Recent(counts.take(late), self.rows_of(rows), archived)

    def _start_of_newest(self, end: dt.datetime | None) -> dt.datetime | None:
        """When the newest labelled rows before the end begin, as many as may be read; None where all may be."""
        starts, labelled = self._starts, self.hours["labelled"].to_numpy()
        before = np.ones(len(starts), dtype=bool) if end is None else starts < instant(end)
        found = start_of_newest(starts[before], labelled[before], self.lakehouse.model.training.max_rows)
        return None if found is None else moment_of(found)

    def _read_from(self, since: np.datetime64) -> np.datetime64:
        """The first full hour since then of which all rows may be read."""
        start = self._start_of_newest(None)
        if start is None:
            return since
        hour = instant(start).astype("datetime64[h]")
        return max(since, (hour + (hour < instant(start))).astype("datetime64[us]"))

    def _bins(self, version: int, rows: pd.DataFrame, calls: np.ndarray) -> np.ndarray:
        """In which bins the calls of a version are."""
        own = meaning_of(self.lakehouse, str(version)).features
        features = pa.Table.from_pandas(own.frame(rows), preserve_index=False)
        return self.history.records[version].call_bins.bins(features, calls)

    @property
    def _began(self) -> np.datetime64:
        return self.history.began if self.history.began is not None else instant(self.as_of)

    def _window_start(self, moment: np.datetime64) -> np.datetime64:
        width = np.timedelta64(self.lakehouse.model.metrics.base_window, "us").astype(int)
        return np.datetime64(int(moment.astype("datetime64[us]").astype(int) // width * width), "us")

    @cached_property
    def _first_hour(self) -> np.datetime64:
        """The first base window that begins with the epoch or later."""
        start, width = self._window_start(self._began), np.timedelta64(self.lakehouse.model.metrics.base_window)
        return start if start == self._began else start + width

    @cached_property
    def _is_epochs(self) -> np.ndarray:
        """Which of the hours are counts of the epoch's versions since it began."""
        own = np.isin(self.hours["model_version"].to_numpy().astype(int), sorted(self.history.epoch))
        return own & (self._starts >= self._first_hour)

    @property
    def _of_epoch(self) -> BinCounts:
        """The counts of the epoch's versions since it began, by base window."""
        table = self.hours.filter(pa.array(self._is_epochs))
        lists = table["by_difficulty"].combine_chunks()
        each = lists.fill_null([]).value_lengths().to_numpy() if len(table) else np.empty(0, dtype=int)
        hour, version = _moments(table["window_start"]), table["model_version"].to_numpy().astype(int)
        cells = pa.concat_arrays([lists]).flatten() if len(table) else pa.array([], lists.type.value_type)
        bins, labelled, wrong = (pc.struct_field(cells, name).to_numpy() for name in ("bin", "labelled", "wrong"))
        return BinCounts(np.repeat(hour, each), np.repeat(version, each), bins, labelled, wrong)

    @property
    def _old_rows(self) -> pd.DataFrame:
        """The rows of earlier versions, or from before the epoch, whose labels came since it began.

        They are as many as a label horizon holds, however long the epoch.
        """
        model = self.lakehouse.model
        starts = self._starts
        late = starts[~self._is_epochs & (self.hours["labelled"].to_numpy() > 0) & (starts >= self._first_hour)]
        end = late.max(initial=self._first_hour - 1) + np.timedelta64(model.metrics.base_window)
        calls = self.newest_calls(moment_of(self._began) - model.labels.horizon, moment_of(max(end, self._first_hour)))
        own = np.isin(calls["model_version"].astype(int).to_numpy(), sorted(self.history.epoch))
        counted = own & (_moments(calls[model.event_time]) >= self._first_hour)
        return calls[self._is_new(calls) & ~counted]

    def _is_new(self, calls: pd.DataFrame) -> np.ndarray:
        """Whether the label came since the epoch began."""
        return _moments(calls[LABEL_TIME]) > self._began


def joined(*parts: BinCounts) -> BinCounts:
    """The counts of all parts."""
    columns = ("hour", "version", "bin", "labelled", "wrong")
    return BinCounts(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def _floored(counts: BinCounts) -> BinCounts:
    """By hour."""
    hours = counts.hour.astype("datetime64[h]").astype("datetime64[us]")
    return replace(counts, hour=hours)


def _moments(times: Any) -> np.ndarray:
    """Times of UTC as numpy has them."""
    series = pd.Series(times.to_pandas() if isinstance(times, pa.ChunkedArray) else times)
    return series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]")


def _scalar(moment: dt.datetime) -> pa.Scalar:
    return pa.scalar(moment, pa.timestamp("us", tz="UTC"))
