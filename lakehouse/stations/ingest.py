"""Ingest: landed files to bronze, and from the same micro-batch to silver, quarantine and duplicates."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse import stream
from lakehouse.rules import LineRules
from lakehouse.settings import ModelSettings, SourceSettings
from lakehouse.stations.lakehouse import Lakehouse
from lakehouse.steps import ingest as steps
from lakehouse.store import Store
from lakehouse.stream import Batch, Query
from lakehouse.tables import Table

_NEVER_TOO_OLD = "36500d"  # Spark leaves out files much older than the newest one; a late file is no less true


@dataclass(frozen=True)
class Source:
    """One kind of line on its way: its settings and its tables."""

    settings: SourceSettings
    bronze: Table
    silver: Table


def ingest(lakehouse: Lakehouse, trigger: str) -> None:
    """Takes in what has landed under `<landing>/<source table>/`: once, or for ever at an interval."""
    model, store, catalog = lakehouse.model, lakehouse.store, lakehouse.catalog
    sources = (
        Source(model.readings, catalog.bronze_readings, catalog.readings),
        Source(model.labels, catalog.bronze_labels, catalog.labels),
    )
    written = [
        catalog.quarantine,
        catalog.duplicate,
        *(table for each in sources for table in (each.bronze, each.silver)),
    ]
    with store.writing(*written):
        stream.run_all([_start(lakehouse, source, trigger) for source in sources], trigger)


def _start(lakehouse: Lakehouse, source: Source, trigger: str) -> Query:
    folder = f"{lakehouse.landing}/{source.settings.table}"
    if "://" not in folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
    files = (
        lakehouse.spark.readStream.format("text")
        .schema("value string")
        .option("wholetext", True)
        .option("maxFileAge", _NEVER_TOO_OLD)
        .option("maxFilesPerTrigger", 1000)
        .option("pathGlobFilter", "*.{jsonl,jsonl.gz}")
        .load(folder)
        .select("value", "_metadata")
    )

    def handle(rows: DataFrame, batch: Batch) -> None:
        _take_in(lakehouse.store, lakehouse.model, source, rows, batch)

    return stream.run(lakehouse.store, f"ingest_{source.settings.table}", files, handle, trigger)


def _take_in(store: Store, model: ModelSettings, source: Source, files: DataFrame, batch: Batch) -> None:
    lines = steps.with_lines(files, batch.number, dt.datetime.now(dt.UTC))
    store.append(lines, source.bronze, batch.transaction(source.bronze))
    rows = steps.with_values_and_reasons(lines, LineRules(source.settings, model.stream), source.silver).persist()
    try:
        _sort_out(store, model, source, rows, batch)
    finally:
        rows.unpersist()


def _sort_out(store: Store, model: ModelSettings, source: Source, rows: DataFrame, batch: Batch) -> None:
    """Appends each row to where it belongs; a table that gets none gets no commit."""
    catalog, name, valid = store.catalog, source.settings.table, rows.where(steps.is_valid())
    keys = steps.keys_of(rows, model.key)
    if keys.are_distinct and not store.may_hold(source.silver, model.key, keys.least, keys.greatest):
        judged, found = steps.all_accepted(valid), {steps.ACCEPTED}
    else:  # a key may have come before, in the batch or in silver
        held = store.read(source.silver).where(F.col(model.key).between(keys.least, keys.greatest))
        judged = steps.with_disposition(valid, held, model.key, list(source.settings.columns)).persist()
        found = set(judged.agg(F.collect_set("disposition")).collect()[0][0])
    if keys.count and steps.ACCEPTED in found:
        store.append(steps.accepted(judged), source.silver, batch.transaction(source.silver))
    if keys.rejected or steps.REJECTED in found:
        rejected = steps.quarantined(rows, judged, name)
        store.append(rejected, catalog.quarantine, batch.transaction(catalog.quarantine))
    if steps.DUPLICATE in found:
        store.append(steps.duplicates(judged, name, model.key), catalog.duplicate, batch.transaction(catalog.duplicate))
    judged.unpersist()
