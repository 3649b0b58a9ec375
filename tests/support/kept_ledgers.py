"""A simulated loop's decisions and promotions, kept in Delta tables as the pipeline keeps them."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from lakehouse.instants import moment_of
from lakehouse.retraining.policy.history import PromotionEntry
from lakehouse.retraining.table_ledger import row_of
from lakehouse.settings import load_model_settings
from lakehouse.simulation.arrays import MemoryLedger
from lakehouse.storage.delta.declared_tables import create
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.store import Store
from lakehouse.tables.catalog import catalog_of
from lakehouse.versions.actions import LOOP, PROMOTE


class KeptLedgers:
    """A lakehouse that has the two ledgers alone.

    Attributes:
        lakehouse: the tables.
    """

    def __init__(self, spark: SparkSession, root: str) -> None:
        """Create both tables under a root; Spark parses their declared types, and no more."""
        model, environment = load_model_settings("conf/glassware.yaml"), None
        self.lakehouse = Lakehouse(model, environment, Store(spark, root, catalog_of(model)))
        self._written = 0
        for table in (self.lakehouse.catalog.decision, self.lakehouse.catalog.promotion):
            create(table, self.lakehouse.store.path(table))

    def write(self, ledger: MemoryLedger, nights: Iterable[np.datetime64]) -> None:
        """Append what was decided and promoted in these nights, a commit for each entry."""
        catalog = self.lakehouse.catalog
        for night in nights:
            for entry in ledger.decisions:
                if entry.as_of == night:
                    common = {"as_of": moment_of(night), "decided_at": self._now(night)}
                    self._append({**row_of(entry.decision), **common}, catalog.decision)
            for entry in ledger.promotions:
                if entry.as_of == night:
                    self._append(self._row(entry), catalog.promotion)

    def _append(self, row: dict[str, Any], table: Any) -> None:
        self.lakehouse.store.append_rows([row], table)

    def _now(self, night: np.datetime64) -> dt.datetime:
        """A moment after the night; later ones for later entries."""
        self._written += 1
        return moment_of(night) + self._written * dt.timedelta(milliseconds=1)

    def _row(self, entry: PromotionEntry) -> dict[str, Any]:
        record = entry.record
        return {
            "as_of": moment_of(entry.as_of),
            "recorded_at": self._now(entry.as_of),
            "action": entry.action,
            "who": LOOP,
            "to_version": None if entry.version is None else str(entry.version),
            "evidence": {"avoided": entry.gain},
            # A version that is refused leaves none.
            "policy_record": record.to_json() if record and entry.action == PROMOTE else None,
        }
