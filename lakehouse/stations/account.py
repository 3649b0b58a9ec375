"""Account: where each line that came in is now."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.steps.account import DUPLICATE, QUARANTINED, SILVER, Account, whereabouts
from lakehouse.tables import Table


def account(lakehouse: Lakehouse) -> list[Account]:
    """The accounts of readings and labels."""
    catalog, key = lakehouse.catalog, lakehouse.model.key
    readings, labels, predictions = (
        lakehouse.store.read(table).select(key) for table in (catalog.readings, catalog.labels, catalog.predictions)
    )
    scored = _split(readings, predictions, key, "scored", "waiting for a model")
    joined = _split(labels, predictions, key, "joined to a prediction", "waiting for one")
    return [
        _account(lakehouse, catalog.bronze_readings, catalog.readings, scored),
        _account(lakehouse, catalog.bronze_labels, catalog.labels, joined),
    ]


def _account(lakehouse: Lakehouse, bronze: Table, silver: Table, followed: dict[str, int]) -> Account:
    catalog, store = lakehouse.catalog, lakehouse.store
    of_source = F.col("source") == silver.name
    places = [
        (SILVER, store.read(silver)),
        (QUARANTINED, store.read(catalog.quarantine).where(of_source)),
        (DUPLICATE, store.read(catalog.duplicate).where(of_source)),
    ]
    found = {tuple(row["places"] or ()): row["lines"] for row in whereabouts(store.read(bronze), places).collect()}
    return Account(
        source=silver.name,
        lines=sum(found.values()),
        places={name: found.get((name,), 0) for name, _ in places},
        unaccounted=found.get((), 0),
        in_two_places=sum(count for where, count in found.items() if len(where) > 1),
        followed=followed,
    )


def _split(rows: DataFrame, others: DataFrame, key: str, met: str, waiting: str) -> dict[str, int]:
    n_met = rows.join(others, key, "left_semi").count()
    return {met: n_met, waiting: rows.count() - n_met}
