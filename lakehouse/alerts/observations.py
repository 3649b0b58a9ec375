"""What rules look at: rows of the tables as values, and metrics by window or as of now. Pure."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lakehouse.calendar import Granularity, Window

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Readings:
    """Rows of the tables, and the two clocks.

    Attributes:
        now: newest moment that the data know of.
        at: wall-clock time; metrics of operations alone look at it.
        profile: gold.profile_metrics of all versions together, without baselines.
        drift: gold.drift_metrics of the same.
        counterfactual: gold.counterfactual, of the alternative `never` and `daily`.
        decisions: gold.decision.
        promotions: gold.promotion.
        rollouts: gold.rollout.
        landed: bronze.landed_file.
        costs: silver.scoring_cost.
        deliveries: gold.alert_delivery.
        runs: gold.job_run.
        batches: gold.batch_metrics.
        versions: Delta versions read.
    """

    now: dt.datetime
    at: dt.datetime
    profile: Sequence[Row] = ()
    drift: Sequence[Row] = ()
    counterfactual: Sequence[Row] = ()
    decisions: Sequence[Row] = ()
    promotions: Sequence[Row] = ()
    rollouts: Sequence[Row] = ()
    landed: Sequence[Row] = ()
    costs: Sequence[Row] = ()
    deliveries: Sequence[Row] = ()
    runs: Sequence[Row] = ()
    batches: Sequence[Row] = ()
    versions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """A metric by window, final ones alone.

    Attributes:
        values: of each window; None where it is missing.
        left_out: windows that are not judged, such as those that a model was trained on.
        granularity: their width.
    """

    values: Mapping[Window, float | None]
    granularity: Granularity
    left_out: frozenset[Window] = frozenset()


@dataclass(frozen=True)
class Level:
    """A metric as of now.

    Attributes:
        value: None where it is missing.
        detail: what it is made of, in words.
        by_wall_clock: whether its now is the wall clock's.
    """

    value: float | None
    detail: str = ""
    by_wall_clock: bool = False


Observed = Series | Level


def some(texts: Iterable[str]) -> str:
    """The first three texts, and how many more there are."""
    all_of_them = list(texts)
    more = [f"and {len(all_of_them) - 3} more"] if len(all_of_them) > 3 else []
    return "; ".join([*all_of_them[:3], *more])
