"""Every table of the lakehouse, declared once; all else is derived from here."""

from lakehouse.tables.alerts import ALERT_DELIVERY, ALERT_EVENT, ALERT_SILENCE
from lakehouse.tables.catalog import Catalog, catalog_of
from lakehouse.tables.declaration import Column, Table, View
from lakehouse.tables.gold import DECISION, PROMOTION, WINDOW_FACTS
from lakehouse.tables.operations import BATCH_METRICS, JOB_RUN
from lakehouse.tables.rollouts import ROLLOUT
from lakehouse.tables.silver import (
    DUPLICATE,
    IS_CORRECTION,
    LANDED_FILE,
    QUARANTINE,
    SCORING_COST,
    SCORING_LEDGER,
)

__all__ = [
    "ALERT_DELIVERY",
    "ALERT_EVENT",
    "ALERT_SILENCE",
    "BATCH_METRICS",
    "DECISION",
    "DUPLICATE",
    "IS_CORRECTION",
    "JOB_RUN",
    "LANDED_FILE",
    "PROMOTION",
    "QUARANTINE",
    "ROLLOUT",
    "SCORING_COST",
    "SCORING_LEDGER",
    "WINDOW_FACTS",
    "Catalog",
    "Column",
    "Table",
    "View",
    "catalog_of",
]
