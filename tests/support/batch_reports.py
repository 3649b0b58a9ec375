"""Builders for what is known of micro-batches: Spark's progress, attempts, reports."""

import datetime as dt
from collections import Counter
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from lakehouse.operations.rows import Process
from lakehouse.storage.batch_reports import Attempt, BatchReport, Memory, SourceSpan
from lakehouse.storage.delta.dataset import dataset_of
from lakehouse.tables import BATCH_METRICS, JOB_RUN
from tests.support import plain_delta

AT = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
PROCESS = Process("run", "ingest", "host", "0.3", AT)
_OFFSET = {"sourceVersion": 1, "reservoirId": "r", "isStartingVersion": False}


def offset(version: int, index: int = -1) -> dict[str, Any]:
    """An offset of Delta's source."""
    return _OFFSET | {"reservoirVersion": version, "index": index}


def progress(number: int = 0, **given: Any) -> dict[str, Any]:
    """Spark's progress of a batch that read versions 1 and 2 of a table."""
    source = {
        "description": "DeltaSource[file:/plant/silver/sensor_reading]",
        "startOffset": offset(1),
        "endOffset": offset(3),
    }
    return {
        "id": "q",
        "name": "score",
        "batchId": number,
        "timestamp": "2026-03-01T12:00:00.000Z",
        "durationMs": {"addBatch": 1500, "latestOffset": 250, "triggerExecution": 2000},
        "sources": [source],
    } | given


def attempt(error: BaseException | None = None, **counts: int) -> Attempt:
    """The work on a batch, which took 1.5 s."""
    return Attempt(AT, 1.5, Counter(counts), Memory(10, 20, 30), error)


def report(number: int = 0, error: BaseException | None = None, **given: Any) -> BatchReport:
    """A batch of the stream `q`, of two seconds."""
    counts = given.pop("counts", {})
    fields = {"query": "score", "query_id": "q", "sources": ()} | given
    return BatchReport(
        number=number,
        began_at=AT + number * SECOND,
        seconds=2.0,
        phases={"addBatch": 1.5},
        attempt=attempt(error, **counts),
        **fields,
    )


def span(path: Path | str, first: int | None, end: int) -> SourceSpan:
    """The versions of a table that were read."""
    return SourceSpan(str(path), first, end)


def lakehouse_at(root: Path) -> Path:
    """A folder as a lakehouse has it, with the tables of operations alone."""
    (root / "_system").mkdir(parents=True)
    for table in (BATCH_METRICS, JOB_RUN):
        plain_delta.create(root, table)
    return root


def rows_of(root: Path, name: str, order: str = "recorded_at") -> list[dict[str, Any]]:
    """The rows of a table of gold, maps as dictionaries."""
    dataset = dataset_of(DeltaTable(root / "gold" / name))
    rows = dataset.to_table(use_threads=False).to_pylist()
    found = [
        {
            key: dict(each)
            if key.endswith(("_seconds", "_versions")) and isinstance(each, list)
            else each
            for key, each in row.items()
        }
        for row in rows
    ]
    return sorted(found, key=lambda row: row[order])
