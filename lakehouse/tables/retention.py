"""How long the versions of a table are kept."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class Retention:
    """How long versions are kept that nobody needs: the fewer of `days` and `versions`.

    Attributes:
        days: since the version was made.
        versions: the newest ones, however young older ones are.
        least: all that are younger are kept: somebody may be reading them.
    """

    days: int = 30
    versions: int = 500
    least: dt.timedelta = dt.timedelta(minutes=15)

    def keeps(self, age: dt.timedelta, behind: int) -> bool:
        """Whether a version is kept though nobody needs it.

        Args:
            age: since it was made.
            behind: how many versions are newer.

        >>> a_week = Retention(days=7, versions=100)
        >>> [a_week.keeps(dt.timedelta(days=days), behind) for days, behind in
        ...  [(6, 99), (6, 100), (8, 99), (0, 9999)]]
        [True, False, False, True]
        """
        is_recent = age <= dt.timedelta(days=self.days) and behind < self.versions
        return age <= self.least or is_recent


NAMED = Retention()
"""Of most tables."""
NAMED_BY_NOBODY = Retention(days=7)
"""Of tables whose versions stand on no record."""
