"""Streaming queries: triggers, checkpoints, and micro-batches whose writes can be repeated."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql.streaming.query import StreamingQuery

from lakehouse.calendar import parse_span
from lakehouse.errors import ConfigurationError, LakehouseError
from lakehouse.storage.store import Store, Transaction
from lakehouse.tables import Table

AVAILABLE_NOW = "available-now"


@dataclass(frozen=True)
class Batch:
    """A micro-batch: the id of its query, which a new checkpoint renews, and its number.

    Attributes:
        steps: names of what writes more than once to one table, each with transactions of its own.
    """

    query_id: str
    number: int
    steps: tuple[str, ...] = ()

    def transaction(self, table: Table) -> Transaction:
        """The transaction of this batch's one append to `table`, the same in a replay."""
        return Transaction(":".join((self.query_id, table.full_name, *self.steps)), self.number)

    def step(self, *names: str) -> "Batch":
        """A step of the batch that writes to the same tables as other steps."""
        return replace(self, steps=(*self.steps, *names))


Handler = Callable[[DataFrame, Batch], None]


@dataclass
class Query:
    """A running streaming query, and the error that its handler raised, if any."""

    name: str
    streaming: StreamingQuery
    errors: list[BaseException]

    def wait(self, continuous: bool, seconds: int = 1) -> bool:
        """Wait `seconds` for the end of what is available; return whether the query ended.

        Raises:
            LakehouseError: a continuous query stopped unexplained.
            Exception: what the handler raised, with a note of the micro-batch.
        """
        try:
            ended = bool(self.streaming.awaitTermination(seconds))
        except Exception:
            # Spark wraps the handler's error in one of its own, with Java's stack trace.
            if self.errors:
                raise self.errors[0] from None
            raise
        if ended and continuous:
            raise LakehouseError(
                f"{self.name}: the query stopped by itself; another process may own its checkpoint"
            )
        return ended


def run(store: Store, name: str, frame: DataFrame, handle: Handler, trigger: str) -> Query:
    """Start a query that hands each micro-batch of `frame` to `handle`.

    Args:
        store: whose checkpoints are used.
        name: of the query and its checkpoint.
        frame: a streaming frame.
        handle: called with the micro-batch and its identity; after a crash, with the same again.
        trigger: `available-now`, or an interval such as `10 seconds`.
    """
    errors: list[BaseException] = []

    def with_identity(rows: DataFrame, number: int) -> None:
        # `foreachBatch` passes the number alone; the query's id is a property of its thread.
        query_id = rows.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
        if not query_id:
            raise LakehouseError(
                f"{name}: Spark did not tell the query's id; no write could be made repeatable"
            )
        try:
            handle(rows, Batch(query_id, number))
        except BaseException as error:  # what Rust's libraries raise is no Exception
            error.add_note(f"micro-batch {number} of the stream {name}")
            errors.append(error)
            raise

    writer = frame.writeStream.queryName(name).foreachBatch(with_identity)
    writer = writer.option("checkpointLocation", store.checkpoint(name))
    return Query(name, writer.trigger(**_trigger(trigger)).start(), errors)


def run_all(queries: Iterable[Query], trigger: str) -> None:
    """Wait for each query; the first error stops the others."""
    running = list(queries)
    try:
        waiting = running
        # For each in turn: an error of the last must not wait for the end of the first.
        while waiting:
            waiting = [
                query for query in waiting if not query.wait(continuous=trigger != AVAILABLE_NOW)
            ]
    finally:
        for query in running:
            if query.streaming.isActive:
                query.streaming.stop()


def interval_seconds(trigger: str) -> float | None:
    """The seconds between two micro-batches; None for `available-now`.

    Raises:
        ConfigurationError: it is neither that nor an interval.
    """
    if trigger == AVAILABLE_NOW:
        return None
    try:
        return parse_span(re.sub(r"\s+", " ", trigger.strip())).total_seconds()
    except ValueError as error:
        raise ConfigurationError(
            f"--trigger: write `{AVAILABLE_NOW}` or an interval; {error}"
        ) from None


def _trigger(trigger: str) -> dict[str, Any]:
    seconds = interval_seconds(trigger)
    return (
        {"availableNow": True} if seconds is None else {"processingTime": f"{seconds:.0f} seconds"}
    )
