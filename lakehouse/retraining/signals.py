"""What gold tells of the champion besides its errors: drift of its columns, other metrics, labels
that are overdue.
"""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.compute import Expression

from lakehouse.calendar import DAY, Granularity, parse_span
from lakehouse.instants import instant, instants, moment_of
from lakehouse.labels.label_batch import LOOK_BACK
from lakehouse.labels.overdue import OverdueRule
from lakehouse.monitoring.measured import BASELINE
from lakehouse.retraining.policy.detection.diagnose import Shifts
from lakehouse.retraining.policy.detection.shifts import column_drifts
from lakehouse.retraining.policy.history import History
from lakehouse.retraining.policy.triggers import Window
from lakehouse.settings import ModelSettings, ThresholdRule
from lakehouse.settings.reserved import PREDICTION
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.partitions import NO_DAY, since_day
from lakehouse.storage.store import Row


def facts_read_from(
    history: History, as_of: dt.datetime, model: ModelSettings
) -> dt.datetime | None:
    """The start of the windows that a decision reads: a label horizon before the change, or the
    drift period, began. None where it reads all.
    """
    champion = history.champion_record
    if champion is None or champion.changed_at is None:
        return None
    began = history.began if history.began is not None else instant(as_of)
    since = min(champion.changed_at, champion.drift_period, began)
    return moment_of(since) - model.labels.horizon


def shifts_of(lakehouse: Lakehouse, champion: str, as_of: dt.datetime) -> Shifts:
    """Return how far the champion's newest windows are from what it was trained on."""
    model, days = lakehouse.model, _newest_days(lakehouse.model, as_of)
    drifts = _drift_rows(lakehouse, champion, days)
    found = column_drifts(drifts, *_profile_rows(lakehouse, champion, days))
    features = [found[name] for name in model.predictions.features if name in found]
    return Shifts(features, found.get(model.labels.label), found.get(PREDICTION))


def metric_windows(lakehouse: Lakehouse, champion: str) -> dict[str, Sequence[Window]]:
    """The champion's windows of the metrics that threshold rules ask for; accuracy is made from the
    hours.
    """
    rules = [rule for rule in lakehouse.model.policy.rules if isinstance(rule, ThresholdRule)]
    return {
        rule.metric: _windows(lakehouse, champion, rule)
        for rule in rules
        if rule.metric != "accuracy_score"
    }


def outage_since(model: ModelSettings, hours: pa.Table) -> np.datetime64 | None:
    """Since when labels are overdue, by the coverage of the hours; None where they come as they
    should.

    Args:
        model: says when labels are due.
        hours: `window_start`, `rows` and `labelled` of base windows.
    """
    if not len(hours):
        return None
    starts, place = np.unique(instants(hours["window_start"]), return_inverse=True)
    rows, labelled = (
        np.bincount(place, hours[name].to_numpy(), len(starts)) for name in ("rows", "labelled")
    )
    return OverdueRule.of(model).outage_since(
        starts[-1], dict(zip(starts, labelled / rows, strict=True))
    )


def _drift_rows(lakehouse: Lakehouse, champion: str, days: str) -> list[Row]:
    where = _of_champion(lakehouse, champion) & (pc.field("drift_type") == BASELINE)
    columns = [
        "window",
        "column_name",
        "population_stability_index",
        "tv_distance",
        "adjusted_pvalue",
    ]
    rows = lakehouse.store.rows(lakehouse.catalog.drift_metrics, where, columns, days)
    return sorted(rows, key=lambda row: row["window"]["start"])


def _of_champion(lakehouse: Lakehouse, champion: str) -> Expression:
    return pc.field("slice_key").is_null() & (
        pc.field(lakehouse.model.metrics.model_id_column) == champion
    )


def _newest_days(model: ModelSettings, as_of: dt.datetime) -> str:
    """The partitions of the windows that are looked at: the newest ones of about a day."""
    granularity = min(model.metrics.granularities, key=lambda each: abs(_width(each) - DAY))
    return (
        f"granularity = '{granularity}' AND {since_day(as_of - model.labels.horizon - LOOK_BACK)}"
    )


def _profile_rows(lakehouse: Lakehouse, champion: str, days: str) -> tuple[list[Row], list[Row]]:
    """Return what the champion was trained on, column by column, and what its newest
    windows hold.
    """
    store, table = lakehouse.store, lakehouse.catalog.profile_metrics
    ours, log_type = _of_champion(lakehouse, champion), pc.field("log_type")
    columns = ["column_name", "count", "num_nulls", "frequent_items"]
    trained = store.rows(table, ours & (log_type == BASELINE), [*columns, "min", "max"], NO_DAY)
    known = sorted({row["column_name"] for row in trained})
    if not known:
        return [], []
    where = ours & (log_type == "INPUT") & pc.field("column_name").isin(known)
    return trained, store.rows(table, where, [*columns, "window", "quantiles"], days)


def _windows(lakehouse: Lakehouse, champion: str, rule: ThresholdRule) -> list[Window]:
    fitting = [
        str(each) for each in lakehouse.model.metrics.granularities if _width(each) == rule.window
    ]
    where = pc.field("granularity").isin(fitting) & _of_champion(lakehouse, champion)
    where &= pc.field("column_name") == ":table"
    rows = lakehouse.store.rows(
        lakehouse.catalog.profile_metrics, where, ["window", rule.metric, "n_labelled"]
    )
    known = [row for row in rows if row[rule.metric] is not None]
    found = [
        Window(instant(row["window"]["start"]), float(row[rule.metric]), row["n_labelled"])
        for row in known
    ]
    return sorted(found, key=lambda each: each.start)


def _width(granularity: Granularity) -> dt.timedelta:
    """Of months roughly: it is only compared."""
    return 30 * DAY * granularity.months or parse_span(granularity.text)
