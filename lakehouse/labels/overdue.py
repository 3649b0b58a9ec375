"""When labels are overdue: the one definition, in Python for decisions and in SQL for views.

A window's labels are due when the label horizon and some patience have passed since it began. They
are overdue where fewer than a share of its rows have theirs by then.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lakehouse.settings import ModelSettings


@dataclass(frozen=True)
class OverdueRule:
    """What the settings say of it.

    Attributes:
        due_after: from the start of a window on; horizon and patience together.
        least_coverage: share of rows, 0-1.
    """

    due_after: dt.timedelta
    least_coverage: float

    @classmethod
    def of(cls, model: ModelSettings) -> "OverdueRule":
        """By `labels.horizon` and `policy.outage`."""
        outage = model.policy.outage
        return cls(model.labels.horizon + outage.patience, outage.least_coverage)

    def outage_since(
        self, now: np.datetime64, coverage: Mapping[np.datetime64, float]
    ) -> np.datetime64 | None:
        """Since when no labels come: the first window of the present stretch of overdue ones.

        With an outage since the third hour of five, all of them due:

            >>> hours = np.arange("2024-03-01T00", "2024-03-01T05", dtype="datetime64[h]")
            >>> rule = OverdueRule(dt.timedelta(days=3), 0.5)
            >>> coverage = dict(zip(hours, [1, 1, 0, 0.1, 0]))
            >>> rule.outage_since(np.datetime64("2024-03-05T00"), coverage)
            np.datetime64('2024-03-01T02','h')

        Args:
            now: newest moment that anything is known of, readings included.
            coverage: by start of a window, the share of its predictions whose label has come.

        Returns:
            None where the newest window that is due has its labels.
        """
        due = sorted(start for start in coverage if start + np.timedelta64(self.due_after) <= now)
        since: np.datetime64 | None = None
        for start in reversed(due):
            if coverage[start] >= self.least_coverage:
                break
            since = start
        return since

    def sql(self, start: str, coverage: str, now: str) -> str:
        """SQL of whether a window's labels are overdue; the arguments are SQL, too."""
        seconds = int(self.due_after.total_seconds())
        return (
            f"{coverage} < {self.least_coverage} AND {start} + INTERVAL '{seconds}' SECOND <= {now}"
        )
