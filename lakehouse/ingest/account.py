"""Account: where each landed file and each line that came in is now."""

from collections import defaultdict

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.ingest.landing.landed_files import file_records
from lakehouse.ingest.landing.listing import listing_of
from lakehouse.ingest.landing.runs import LANDED, UNREADABLE, FileRecord, newest
from lakehouse.ingest.reconciliation import (
    DUPLICATE,
    QUARANTINED,
    SILVER,
    Account,
    FileAccount,
    whereabouts,
)
from lakehouse.storage.folders import Folder
from lakehouse.storage.lakehouse import Lakehouse, Source
from lakehouse.tables import Table


def account(lakehouse: Lakehouse) -> list[Account]:
    """The accounts of readings, labels, and what features look at besides."""
    catalog, key = lakehouse.catalog, lakehouse.model.key
    readings, labels, predictions = (
        lakehouse.store.read(table).select(key)
        for table in (catalog.readings, catalog.labels, catalog.predictions)
    )
    scored = _split(readings, predictions, key, "scored", "waiting for a model")
    joined = _split(labels, predictions, key, "joined to a prediction", "waiting for one")
    return [
        _account(lakehouse, catalog.bronze_readings, catalog.readings, scored),
        _account(lakehouse, catalog.bronze_labels, catalog.labels, joined),
        *(
            _account(lakehouse, bronze, silver, {"for features": lakehouse.store.count(silver)})
            for bronze, silver in zip(catalog.bronze_history, catalog.history, strict=True)
        ),
    ]


def _account(
    lakehouse: Lakehouse, bronze: Table, silver: Table, followed: dict[str, int]
) -> Account:
    catalog, store = lakehouse.catalog, lakehouse.store
    of_source = F.col("source") == silver.name
    places = [
        (SILVER, store.read(silver)),
        (QUARANTINED, store.read(catalog.quarantine).where(of_source)),
        (DUPLICATE, store.read(catalog.duplicate).where(of_source)),
    ]
    lines_by_places = {
        tuple(row["places"] or ()): row["lines"]
        for row in whereabouts(store.read(bronze), places).collect()
    }
    return Account(
        source=silver.name,
        lines=sum(lines_by_places.values()),
        places={name: lines_by_places.get((name,), 0) for name, _ in places},
        unaccounted=lines_by_places.get((), 0),
        in_two_places=sum(count for where, count in lines_by_places.items() if len(where) > 1),
        followed=followed,
    )


def _split(rows: DataFrame, others: DataFrame, key: str, met: str, waiting: str) -> dict[str, int]:
    n_met = rows.join(others, key, "left_semi").count()
    return {met: n_met, waiting: rows.count() - n_met}


def files_account(lakehouse: Lakehouse) -> list[FileAccount]:
    """The accounts of landed files, and of what else lies in the landing folder."""
    records = file_records(lakehouse)
    accounts = [
        _of_files(lakehouse, source, [record for record in records if record.source == source.name])
        for source in lakehouse.sources
    ]
    sources = tuple(f"{source.name}/" for source in lakehouse.sources)
    listing = listing_of(Folder(lakehouse.landing))
    others = [
        name for name in (*listing.files, *listing.left_alone) if not name.startswith(sources)
    ]
    return [*accounts, FileAccount("landing", 0, (), {}, {}, others)] if others else accounts


def _of_files(lakehouse: Lakehouse, source: Source, records: list[FileRecord]) -> FileAccount:
    read = _lines_read(lakehouse, source)
    latest = newest(records).values()
    lost = {record.landed_file_id for record in latest if record.status == UNREADABLE}
    readable = [record for record in records if record.status == LANDED]
    landed = [record for record in readable if record.landed_file_id not in lost]
    waiting = [
        record.source_file for record in landed if (record.lines or 0) > read[record.landed_file_id]
    ]
    listing = listing_of(Folder(lakehouse.landing).within(source.name))
    return FileAccount(
        source.name,
        len(landed) - len(waiting),
        waiting,
        {
            record.source_file: record.reason or ""
            for record in latest
            if record.status == UNREADABLE
        },
        {record.source_file: record.reason for record in landed if record.reason},
        [f"{source.name}/{name}" for name in listing.left_alone],
    )


def _lines_read(lakehouse: Lakehouse, source: Source) -> dict[int | None, int]:
    """Lines in bronze, by row of bronze.landed_file; a line that was read twice counts once."""
    by_file = lakehouse.store.read(source.bronze).groupBy("landed_file_id")
    lines = by_file.agg(F.count_distinct("line").alias("lines"))
    return defaultdict(int, {row["landed_file_id"]: row["lines"] for row in lines.collect()})
