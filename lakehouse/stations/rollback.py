"""Rollback: a person's way back to the version before."""

from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.stations.promotion import roll_back


def rollback(lakehouse: Lakehouse, who: str, reason: str) -> tuple[str, str]:
    """Moves the alias back, after its row in the ledger; returns the versions before and after."""
    with lakehouse.store.writing(lakehouse.catalog.promotion):
        return roll_back(lakehouse, who, reason)
