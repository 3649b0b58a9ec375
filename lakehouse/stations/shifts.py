"""What gold tells of the champion besides its errors: drift of its columns, other metrics, labels that are overdue."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.compute as pc
from pyarrow.compute import Expression

from lakehouse.calendar import DAY, Granularity, parse_span
from lakehouse.settings import ThresholdRule
from lakehouse.stations.evidence import Evidence
from lakehouse.stations.label_batch import LOOK_BACK
from lakehouse.statistics.profile import MAX_FREQUENT_ITEMS
from lakehouse.steps.aggregate_kpis import PREDICTION
from lakehouse.steps.metrics import BASELINE
from lakehouse.steps.policy.diagnose import ColumnDrift, Shifts, label_outage, share_outside, share_unseen
from lakehouse.steps.policy.document import instant, moment_of
from lakehouse.steps.policy.rules import Window
from lakehouse.store import NO_DAY, Row, since_day

_LEAST_OUTSIDE = 5


def shifts_of(evidence: Evidence) -> Shifts:
    """How far the champion's newest windows are from what it was trained on."""
    model = evidence.lakehouse.model
    rows, outside = _drift_rows(evidence), _outside(evidence)
    found = {
        name: _column_drift(name, [row for row in rows if row["column_name"] == name], outside) for name in _names(rows)
    }
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
    columns += ["percent_null_delta"]
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


def _outside(evidence: Evidence) -> dict[tuple[str, dt.datetime], float]:
    """By feature and start of a window, the share of values that the champion was not trained on the like of.

    Fewer than five of them are chance: of a thousand numbers that were trained on, two are the outermost.
    """
    store, table = evidence.lakehouse.store, evidence.lakehouse.catalog.profile_metrics
    ours, log_type = _of_champion(evidence), pc.field("log_type")
    columns = ["column_name", "min", "max", "frequent_items"]
    trained = store.rows(table, ours & (log_type == BASELINE), columns, NO_DAY)
    known = {row["column_name"]: row for row in trained}
    if not known:
        return {}
    where = ours & (log_type == "INPUT") & pc.field("column_name").isin(sorted(known))
    columns = ["window", "column_name", "count", "quantiles", "frequent_items"]
    seen = store.rows(table, where, columns, _newest_days(evidence))
    shares = [(row, _share_outside(row, known[row["column_name"]])) for row in seen]
    return {
        (row["column_name"], row["window"]["start"]): share
        for row, share in shares
        if share * row["count"] >= _LEAST_OUTSIDE
    }


def _share_outside(seen: Row, trained: Row) -> float:
    """Of a window's values; 0 where gold does not hold all categories that were trained on."""
    if seen["quantiles"] and trained["min"] is not None:
        return share_outside(seen["quantiles"], trained["min"], trained["max"])
    known = [each["item"] for each in trained["frequent_items"] or []]
    if not known or len(known) >= MAX_FREQUENT_ITEMS:
        return 0.0
    return share_unseen({each["item"]: each["count"] for each in seen["frequent_items"] or []}, known)


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["column_name"] for row in rows))


def _column_drift(
    name: str, rows: Sequence[Mapping[str, Any]], outside: Mapping[tuple[str, dt.datetime], float]
) -> ColumnDrift:
    """The newest window with a figure, and since when without a break windows have drifted."""
    known = [row for row in rows if row["adjusted_pvalue"] is not None]
    found = [_of_window(name, row, outside.get((name, row["window"]["start"]), 0.0)) for row in known]
    if not found:
        return ColumnDrift(name, 0.0, 1.0)
    newest, since = found[-1], None
    for each in reversed(found):
        if not each.moved:
            break
        since = each.since
    return replace(newest, since=since)


def _of_window(name: str, row: Mapping[str, Any], outside: float) -> ColumnDrift:
    index = row["population_stability_index"] if row["tv_distance"] is None else row["tv_distance"]
    nulls = (row["percent_null_delta"] or 0.0) / 100
    return ColumnDrift(name, index or 0.0, row["adjusted_pvalue"], nulls, outside, instant(row["window"]["start"]))


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
