"""Streaming queries: triggers, checkpoints, and micro-batches whose writes can be repeated."""

import datetime as dt
import json
import re
import resource
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from lakehouse.calendar import parse_span
from lakehouse.errors import ConfigurationError, LakehouseError
from lakehouse.storage.batch_reports import (
    Attempt,
    BatchReport,
    Memory,
    did_work,
    finished,
    unfinished,
)
from lakehouse.storage.callbacks import end_idle_callbacks
from lakehouse.storage.checkpoints import ready
from lakehouse.storage.store import Store, Transaction
from lakehouse.tables import Table

AVAILABLE_NOW = "available-now"
_PAUSE = 0.01


@dataclass(frozen=True)
class Batch:
    """A micro-batch: the id of its query, which a new checkpoint renews, and its number.

    Attributes:
        steps: names of what writes more than once to one table, each with transactions of its own.
        attempt: what this attempt at it has counted so far; its steps share it.
    """

    query_id: str
    number: int
    steps: tuple[str, ...] = ()
    attempt: Attempt = field(
        default_factory=lambda: Attempt(dt.datetime.now(dt.UTC)), compare=False, repr=False
    )

    def count(self, **numbers: int) -> None:
        """Add to the columns of gold.batch_metrics that only the work can count."""
        self.attempt.counts.update(numbers)

    def transaction(self, table: Table) -> Transaction:
        """The transaction of this batch's one append to `table`, the same in a replay."""
        return Transaction(":".join((self.query_id, table.full_name, *self.steps)), self.number)

    def step(self, *names: str) -> "Batch":
        """A step of the batch that writes to the same tables as other steps."""
        return replace(self, steps=(*self.steps, *names))


Handler = Callable[[DataFrame, Batch], object]


@dataclass
class Query:
    """A running streaming query, and what is known of its micro-batches.

    Attributes:
        errors: what the handler raised.
        attempts: micro-batches that Spark has not told the end of, by their numbers.
        reports: where those that ended are put.
    """

    name: str
    streaming: StreamingQuery
    errors: list[BaseException] = field(default_factory=list)
    attempts: dict[int, Attempt] = field(default_factory=dict)
    reports: deque[BatchReport] = field(default_factory=deque)

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

    def end(self, patience: float) -> None:
        """Stop a continuous query between two micro-batches; one that lasts longer is cut off.

        Args:
            patience: seconds to wait for the end of the micro-batch of now.
        """
        until = time.monotonic() + patience
        while self._is_busy and time.monotonic() < until:
            time.sleep(_PAUSE)
        self.streaming.stop()

    @property
    def _is_busy(self) -> bool:
        return bool(self.streaming.isActive and self.streaming.status["isTriggerActive"])

    def report(self) -> None:
        """Put the batches that Spark has committed, and those that failed, to the reports."""
        if not self.attempts:
            return
        for progress in self._told():
            if did_work(progress) and progress["batchId"] in self.attempts:
                attempt = self.attempts.pop(progress["batchId"])
                self.reports.append(finished(progress, attempt))
        failed = [number for number, each in list(self.attempts.items()) if each.error]
        for number in failed:
            attempt = self.attempts.pop(number)
            self.reports.append(unfinished(self.name, self.streaming.id, number, attempt))

    def _told(self) -> list[dict[str, Any]]:
        """What Spark tells of the newest batches; of one alone, the newest words suffice.

        All that it remembers are a hundred batches, which take a second to fetch.
        """
        newest = self.streaming.lastProgress
        if newest is not None and newest.batchId < min(self.attempts):
            return []
        if newest is not None and {newest.batchId} == self.attempts.keys():
            progress = json.loads(newest.json)
            if did_work(progress):
                return [progress]
        return [json.loads(each.json) for each in self.streaming.recentProgress]


@dataclass(frozen=True)
class Sink:
    """A table, with the steps, that micro-batches leave a transaction in."""

    table: Table
    steps: tuple[str, ...] = ()


def run(
    store: Store,
    name: str,
    frame: DataFrame,
    handle: Handler,
    trigger: str | float,
    sinks: Sequence[Sink] = (),
) -> Query:
    """Start a query that hands each micro-batch of `frame` to `handle`.

    A checkpoint that is behind its sinks, or damaged, is set aside first: see `checkpoints`.

    Args:
        store: whose checkpoints are used.
        name: of the query and its checkpoint.
        frame: a streaming frame.
        handle: called with the micro-batch and its identity; after a crash, with the same again.
        trigger: `available-now`, an interval such as `10 seconds`, or its seconds.
        sinks: where the first writes of micro-batches go, if Delta is to leave out repeated ones.
    """
    ready(store.checkpoint(name), name, partial(_reached, store, sinks))
    end_idle_callbacks(store.spark)
    errors: list[BaseException] = []
    attempts: dict[int, Attempt] = {}

    def with_identity(rows: DataFrame, number: int) -> None:
        # `foreachBatch` passes the number alone; the query's id is a property of its thread.
        query_id = rows.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
        if not query_id:
            raise LakehouseError(
                f"{name}: Spark did not tell the query's id; no write could be made repeatable"
            )
        batch = Batch(query_id, number)
        try:
            with _timed(batch.attempt, store.spark):
                handle(rows, batch)
        except BaseException as error:
            error.add_note(f"micro-batch {number} of the stream {name}")
            errors.append(error)
            raise
        finally:
            attempts[number] = batch.attempt

    writer = frame.writeStream.queryName(name).foreachBatch(with_identity)
    writer = writer.option("checkpointLocation", store.checkpoint(name))
    streaming = writer.trigger(**_trigger(trigger)).start()
    return Query(name, streaming, errors, attempts, store.reports)


def _reached(store: Store, sinks: Sequence[Sink], query_id: str) -> int:
    """The newest micro-batch of a stream that any of its sinks has; -1 where none has one."""
    batch = Batch(query_id, 0)
    numbers = [
        number
        for sink in sinks
        for number in store.reached(
            sink.table, [batch.step(*sink.steps).transaction(sink.table).app_id]
        ).values()
    ]
    return max((number for number in numbers if number is not None), default=-1)


@contextmanager
def step(store: Store, name: str, number: int) -> Iterator[Attempt]:
    """Report a step that works in batches without a stream, as a micro-batch is."""
    attempt = Attempt(dt.datetime.now(dt.UTC))
    try:
        with _timed(attempt, store.spark):
            yield attempt
    finally:
        store.reports.append(unfinished(name, None, number, attempt))


@contextmanager
def _timed(attempt: Attempt, spark: SparkSession) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    except BaseException as error:  # what Rust's libraries raise is no Exception
        attempt.error = error
        raise
    finally:
        attempt.seconds = round(time.monotonic() - began, 3)
        attempt.memory = _memory(spark)


def _memory(spark: SparkSession) -> Memory:
    runtime = spark._jvm.java.lang.Runtime.getRuntime()  # type: ignore[union-attr]
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Memory(
        runtime.totalMemory() - runtime.freeMemory(), runtime.maxMemory(), kilobytes * 1024
    )


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
            for query in running:
                query.report()
    except BaseException:
        for query in running:
            # A signal ends Spark's JVM, too: what ended the work is the error to be shown.
            with suppress(Exception):
                query.report()
            with suppress(Exception):
                query.streaming.stop()
        raise
    for query in running:
        query.report()


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


def _trigger(trigger: str | float) -> dict[str, Any]:
    seconds = interval_seconds(trigger) if isinstance(trigger, str) else trigger
    if seconds is None:
        return {"availableNow": True}
    return {"processingTime": f"{round(seconds * 1000)} milliseconds"}
