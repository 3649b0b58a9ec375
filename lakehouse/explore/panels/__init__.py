"""The pages of what was found: rows in, panels out. All of it is pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lakehouse.dashboard.rows import Row
from lakehouse.explore.bins import Bins
from lakehouse.explore.findings import Findings
from lakehouse.explore.measures import (
    Stretch,
    stretch_of_mean,
    stretch_of_share,
    stretch_that_moved,
)
from lakehouse.explore.subject import Column


def rows_of_focus(findings: Findings, rows: Sequence[Row]) -> Sequence[Row]:
    """The rows of the class whose share is told; of a number, all."""
    if findings.focus is None:
        return rows
    return [row for row in rows if row["class"] == findings.focus_words]


@dataclass(frozen=True)
class Found:
    """A stretch of a column that stands out, and the class whose share does; None of a number."""

    stretch: Stretch
    name: str | None


def found_of(findings: Findings, column: Column) -> Found | None:
    """Where a column tells most of `by`, in the first span; of several classes, the clearest."""
    bins, rows = findings.bins(column), findings.rows(f"bins-{findings.place(column)}", 0)
    own = [row for row in rows if row["code"] < bins.size]
    if findings.focus is None:
        stretch = _of_mean(bins, own)
        return Found(stretch, None) if stretch else None
    names = [findings.focus_words] if len(findings.by.values) == 2 else findings.classes
    found = []
    for name in names:
        of_class = [row for row in own if row["class"] == name]
        n, k = (_counted(of_class, key, bins.size) for key in ("n_rows", "n"))
        stretch = stretch_of_share(n, k, None if bins.is_ordered else 1)
        found += [Found(stretch, name)] if stretch else []
    return max(found, key=lambda each: each.stretch.strength, default=None)


def _of_mean(bins: Bins, own: Sequence[Row]) -> Stretch | None:
    n, mean = _counted(own, "n_rows", bins.size), np.zeros(bins.size)
    longest = None if bins.is_ordered else 1
    for row in own:
        mean[row["code"]] = row["mean"]
    return stretch_of_mean(n, mean, _variance(own), longest)


def move_of(findings: Findings, column: Column) -> Stretch | None:
    """Where a column's share moved from the second span to the first."""
    if findings.focus is None or not findings.is_compared:
        return None
    bins, query = findings.bins(column), f"bins-{findings.place(column)}"
    counts = []
    for span in (1, 0):
        rows = rows_of_focus(findings, findings.rows(query, span))
        own = [row for row in rows if row["code"] < bins.size]
        counts.append((_counted(own, "n_rows", bins.size), _counted(own, "n", bins.size)))
    return stretch_that_moved(counts[0], counts[1], None if bins.is_ordered else 1)


def _counted(rows: Sequence[Row], name: str, size: int) -> np.ndarray:
    counts = np.zeros(size)
    for row in rows:
        counts[row["code"]] = row[name]
    return counts


def _variance(rows: Sequence[Row]) -> float:
    """The variance of all rows, by the mean and the deviation of each bin."""
    n = np.array([row["n_rows"] for row in rows], dtype=np.float64)
    if not n.sum():
        return 0.0
    mean = np.array([row["mean"] for row in rows], dtype=np.float64)
    stddev = np.array([row["stddev"] or 0.0 for row in rows], dtype=np.float64)
    middle = float(n @ mean) / n.sum()
    return float((np.maximum(n - 1, 0) * stddev**2 + n * (mean - middle) ** 2).sum() / n.sum())
