"""From rows of the metric tables to what has shifted: each statement by its size, and by a test
against chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from scipy.stats import betabinom, hypergeom

from lakehouse.drift.two_samples import adjusted_pvalues
from lakehouse.instants import instant
from lakehouse.profiling.profile import MAX_FREQUENT_ITEMS
from lakehouse.retraining.policy.detection.diagnose import ColumnDrift, share_outside, share_unseen

Row = Mapping[str, Any]


def column_drifts(
    drifts: Sequence[Row], trained: Sequence[Row], seen: Sequence[Row]
) -> dict[str, ColumnDrift]:
    """Return how far each column's newest window is from what the champion was trained on, and
    since when.

    Args:
        drifts: rows of gold.drift_metrics against the champion's baseline, in order of their
            windows.
        trained: rows of gold.profile_metrics of that baseline.
        seen: rows of gold.profile_metrics of the same windows.

    Returns:
        By column, the newest window with a figure; `since` is the start of the first window of the
        present stretch.
    """
    baseline = {row["column_name"]: row for row in trained}
    profiles: dict[Any, dict[str, Row]] = {}
    for row in seen:
        profiles.setdefault(row["window"]["start"], {})[row["column_name"]] = row
    windows: dict[str, list[ColumnDrift]] = {}
    for start in dict.fromkeys(row["window"]["start"] for row in drifts):
        own = [row for row in drifts if row["window"]["start"] == start]
        for column in _of_window(own, baseline, profiles.get(start, {})):
            windows.setdefault(column.column, []).append(column)
    names = dict.fromkeys(row["column_name"] for row in drifts)
    return {name: _newest(name, windows.get(name, [])) for name in names}


def _of_window(
    drifts: Sequence[Row], baseline: Mapping[str, Row], profiles: Mapping[str, Row]
) -> list[ColumnDrift]:
    """The columns of one window; the tests of a statement are adjusted for the columns that it is
    made of at once.
    """
    known = [row for row in drifts if row["adjusted_pvalue"] is not None]
    both = [(baseline.get(row["column_name"]), profiles.get(row["column_name"])) for row in known]
    missing = [_missing(*pair) for pair in both]
    outside = [_outside(*pair) for pair in both]
    missing_pvalues = adjusted_pvalues([pvalue for _, pvalue in missing])
    outside_pvalues = adjusted_pvalues([pvalue for _, pvalue in outside])
    return [
        ColumnDrift(
            column=row["column_name"],
            index=_index(row),
            pvalue=row["adjusted_pvalue"],
            nulls=missing[place][0],
            nulls_pvalue=missing_pvalues[place] or 0.0,
            outside=outside[place][0],
            outside_pvalue=outside_pvalues[place] or 0.0,
            since=instant(row["window"]["start"]),
        )
        for place, row in enumerate(known)
    ]


def _index(row: Row) -> float:
    found = row["population_stability_index"] if row["tv_distance"] is None else row["tv_distance"]
    return float(found or 0.0)


def _newest(name: str, windows: Sequence[ColumnDrift]) -> ColumnDrift:
    if not windows:
        return ColumnDrift(name, 0.0, 1.0)
    since = None
    for each in reversed(windows):
        if not each.moved:
            break
        since = each.since
    return replace(windows[-1], since=since)


def _missing(trained: Row | None, seen: Row | None) -> tuple[float, float]:
    """Return how much greater the share of missing values is than in training, and how likely so
    much is by chance.

    Fisher's exact test, one-sided: given how many are missing on both sides together.
    """
    if trained is None or seen is None:
        return 0.0, 1.0
    before, now = (row["num_nulls"] + row["count"] for row in (trained, seen))
    if not (before and now):
        return 0.0, 1.0
    both = trained["num_nulls"] + seen["num_nulls"]
    pvalue = hypergeom.sf(seen["num_nulls"] - 1, before + now, both, now)
    return seen["num_nulls"] / now - trained["num_nulls"] / before, float(pvalue)


def _outside(trained: Row | None, seen: Row | None) -> tuple[float, float]:
    """The share of values that the champion was trained on none like, and how likely so many are by
    chance.

    How much of a distribution lies outside the range of n values drawn from it has the Beta(2, n -
    1) distribution (Wilks 1941, Annals of Mathematical Statistics 12). How much of it the
    categories seen have left out is told by those seen once (Good 1953, Biometrika 40).
    """
    if trained is None or seen is None or not seen["count"] or not trained["count"]:
        return 0.0, 1.0
    count, before = seen["count"], trained["count"]
    if seen["quantiles"] and trained["min"] is not None:
        share, left_out, rest = (
            share_outside(seen["quantiles"], trained["min"], trained["max"]),
            2,
            before - 1,
        )
    else:
        known = {each["item"]: each["count"] for each in trained["frequent_items"] or []}
        if not known or len(known) >= MAX_FREQUENT_ITEMS:  # the table does not hold all categories
            return 0.0, 1.0
        share = share_unseen(
            {each["item"]: each["count"] for each in seen["frequent_items"] or []}, known
        )
        once = sum(times == 1 for times in known.values())
        left_out, rest = once + 1, before - once
    pvalue = betabinom.sf(round(share * count) - 1, count, left_out, max(rest, 1))
    return share, float(pvalue)
