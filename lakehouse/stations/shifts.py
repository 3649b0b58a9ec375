"""What gold tells of the champion besides its errors: drift of its columns, other metrics, labels that are overdue."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc
from pyarrow.compute import Expression

from lakehouse.calendar import DAY, Granularity, parse_span
from lakehouse.settings import ThresholdRule
from lakehouse.stations.evidence import Evidence
from lakehouse.stations.label_batch import LOOK_BACK
from lakehouse.steps.aggregate_kpis import PREDICTION
from lakehouse.steps.metrics import BASELINE
from lakehouse.steps.policy.diagnose import Shifts, label_outage
from lakehouse.steps.policy.document import instant, moment_of
from lakehouse.steps.policy.rules import Window
from lakehouse.steps.policy.shifts import column_drifts
from lakehouse.store import NO_DAY, Row, since_day


def shifts_of(evidence: Evidence) -> Shifts:
    """How far the champion's newest windows are from what it was trained on."""
    model = evidence.lakehouse.model
    found = column_drifts(_drift_rows(evidence), *_profile_rows(evidence))
    features = [found[name] for name in model.predictions.features if name in found]
    return Shifts(features, found.get(model.labels.label), found.get(PREDICTION))


def metric_windows(evidence: Evidence) -> dict[str, Sequence[Window]]:
    """The champion's windows of the metrics that threshold rules ask for; accuracy is made from the hours."""
    lakehouse = evidence.lakehouse
    rules = [rule for rule in lakehouse.model.policy.rules if isinstance(rule, ThresholdRule)]
    return {rule.metric: _windows(evidence, rule) for rule in rules if rule.metric != "accuracy_score"}


def blind_since(evidence: Evidence) -> dt.datetime | None:
    """Since when labels are overdue, by the coverage of the hours; None where they come as they should."""
    hours, model = evidence.hours, evidence.lakehouse.model
    rows: dict[dt.datetime, int] = {}
    labelled: dict[dt.datetime, int] = {}
    columns = (hours[name].to_pylist() for name in ("window_start", "rows", "labelled"))
    for start, all_of_them, told in zip(*columns, strict=True):
        rows[start] = rows.get(start, 0) + all_of_them
        labelled[start] = labelled.get(start, 0) + told
    if not rows:
        return None
    coverage = {instant(start): labelled[start] / rows[start] for start in rows}
    outage = model.policy.outage
    newest, due = instant(max(rows)), np.timedelta64(model.labels.horizon)
    found = label_outage(newest, coverage, due, outage.least_coverage, np.timedelta64(outage.patience))
    return None if found is None else moment_of(found)


def _drift_rows(evidence: Evidence) -> list[Row]:
    lakehouse = evidence.lakehouse
    where = _of_champion(evidence) & (pc.field("drift_type") == BASELINE)
    columns = ["window", "column_name", "population_stability_index", "tv_distance", "adjusted_pvalue"]
    rows = lakehouse.store.rows(lakehouse.catalog.drift_metrics, where, columns, _newest_days(evidence))
    return sorted(rows, key=lambda row: row["window"]["start"])


def _of_champion(evidence: Evidence) -> Expression:
    name = evidence.lakehouse.model.metrics.model_id_column
    return pc.field("slice_key").is_null() & (pc.field(name) == str(evidence.history.champion))


def _newest_days(evidence: Evidence) -> str:
    """The partitions of the windows that are looked at: the newest ones of about a day."""
    model = evidence.lakehouse.model
    granularity = min(model.metrics.granularities, key=lambda each: abs(_width(each) - DAY))
    since = since_day(evidence.as_of - model.labels.horizon - LOOK_BACK)
    return f"granularity = '{granularity}' AND {since}"


def _profile_rows(evidence: Evidence) -> tuple[list[Row], list[Row]]:
    """What the champion was trained on, column by column, and what its newest windows hold."""
    store, table = evidence.lakehouse.store, evidence.lakehouse.catalog.profile_metrics
    ours, log_type = _of_champion(evidence), pc.field("log_type")
    columns = ["column_name", "count", "num_nulls", "frequent_items"]
    trained = store.rows(table, ours & (log_type == BASELINE), [*columns, "min", "max"], NO_DAY)
    known = sorted({row["column_name"] for row in trained})
    if not known:
        return [], []
    where = ours & (log_type == "INPUT") & pc.field("column_name").isin(known)
    return trained, store.rows(table, where, [*columns, "window", "quantiles"], _newest_days(evidence))


def _windows(evidence: Evidence, rule: ThresholdRule) -> list[Window]:
    lakehouse, champion = evidence.lakehouse, str(evidence.history.champion)
    table, name = lakehouse.catalog.profile_metrics, lakehouse.model.metrics.model_id_column
    fitting = [str(each) for each in lakehouse.model.metrics.granularities if _width(each) == rule.window]
    where = pc.field("granularity").isin(fitting) & (pc.field(name) == champion) & pc.field("slice_key").is_null()
    where &= pc.field("column_name") == ":table"
    rows = lakehouse.store.rows(table, where, ["window", rule.metric, "n_labelled"])
    known = [row for row in rows if row[rule.metric] is not None]
    found = [Window(instant(row["window"]["start"]), float(row[rule.metric]), row["n_labelled"]) for row in known]
    return sorted(found, key=lambda each: each.start)


def _width(granularity: Granularity) -> dt.timedelta:
    """Of months roughly: it is only compared."""
    return 30 * DAY * granularity.months or parse_span(granularity.text)
