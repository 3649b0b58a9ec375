"""The whole way without an end: streams that are started once, and a look at what has landed.

A thread looks at the landing folders. Spark's threads take in, score and aggregate, each as soon as
there is something for it. The thread of the caller does the rest, pass by pass.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lakehouse.ingest.pipeline import Intake, written_by_ingest
from lakehouse.monitoring.aggregator import start_aggregation, written_by_aggregation
from lakehouse.scoring.scorer import Scorer, start_scoring, written_by_scoring
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.log_check import check_newest
from lakehouse.storage.queries import Query
from lakehouse.versions.ledger import PromotionLedger

PASS_SECONDS = 60.0
"""How long streams run between two passes beside them, at least: decisions, alerts, the page."""
METRICS_SECONDS = 60.0
"""From one micro-batch of aggregation to the next, at least: each overwrites whole days."""
_LOOKS = 5
"""How often a stream looks for news in an interval; a reading waits for three such looks."""
_SWITCH_SECONDS = 0.0005
"""How long a thread may keep Python to itself. A micro-batch asks Spark some hundred times; after
each answer it waits that long for a pass or an aggregation that computes.
"""
_PATIENCE = 60.0
"""Seconds that a micro-batch may still take when the streams are ended."""


class Streams:
    """Ingest, scoring and aggregation, started once. The caller holds the right to write."""

    def __init__(self, lakehouse: Lakehouse, seconds: float) -> None:
        """Start nothing yet.

        Args:
            lakehouse: that they read and write.
            seconds: of the interval.
        """
        self._lakehouse, self._pause = lakehouse, seconds / _LOOKS
        self._metrics_pause = max(seconds, METRICS_SECONDS)
        self._queries: dict[str, Query] = {}
        self._is_ending = threading.Event()
        self._error: BaseException | None = None
        self._feeder: threading.Thread | None = None

    def start(self) -> None:
        """Start the streams, and look at the landing folders from now on."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        intake = Intake(self._lakehouse, self._pause)
        self._queries["ingest"] = intake.query
        self.start_scoring()
        aggregation = start_aggregation(self._lakehouse, self._metrics_pause)
        self._queries["aggregate"] = aggregation
        self._feeder = threading.Thread(
            target=self._feed, args=(intake,), name="landing", daemon=True
        )
        self._feeder.start()

    def start_scoring(self) -> None:
        """Start scoring if it does not run and there is a champion; rows wait for one in silver."""
        if "score" not in self._queries and PromotionLedger(self._lakehouse).champion is not None:
            scorer = Scorer(self._lakehouse, keeps_records=False)
            self._queries["score"] = start_scoring(self._lakehouse, self._pause, scorer)

    def watch(self, seconds: float) -> None:
        """Let the streams run.

        Raises:
            LakehouseError: one stopped unexplained.
            Exception: what ended one, or the looks at the landing folders.
        """
        until = time.monotonic() + seconds
        while True:
            for query in list(self._queries.values()):
                query.wait(continuous=True)
            if self._error is not None:
                raise self._error
            if time.monotonic() >= until:
                return

    def end(self) -> None:
        """End the streams in the order of the way, each after its micro-batch of now."""
        self._is_ending.set()
        if self._feeder is not None:
            self._feeder.join(_PATIENCE)
        # A signal may have cut off a call to Spark in this thread: its answer would be taken for
        # that of the next call. Another thread has a connection of its own.
        ending = threading.Thread(target=self._end_queries, name="ending", daemon=True)
        ending.start()
        ending.join()

    def _end_queries(self) -> None:
        for name in ("ingest", "score", "aggregate"):
            # A signal ends Spark's JVM, too: what ended the work is the error to be shown.
            with suppress(Exception):
                if name in self._queries:
                    self._queries[name].end(_PATIENCE)
        with suppress(Exception):
            self._report()

    def _feed(self, intake: Intake) -> None:
        """Look at the landing folders, and put on record what micro-batches did, until the end."""
        try:
            while not self._is_ending.wait(self._pause):
                intake.look()
                self._report()
        except BaseException as error:  # what Rust's libraries raise is no Exception
            self._error = error

    def _report(self) -> None:
        for query in list(self._queries.values()):
            query.report()


@contextmanager
def streaming(lakehouse: Lakehouse, seconds: float) -> Iterator[Streams]:
    """The streams of a lakehouse run until the block ends; the process alone writes their tables.

    Args:
        lakehouse: that they read and write.
        seconds: of the interval.

    Raises:
        StoreError: a table has lost its newest commits.
    """
    tables = (
        *written_by_ingest(lakehouse),
        *written_by_scoring(lakehouse),
        *written_by_aggregation(lakehouse),
    )
    with lakehouse.store.writing(*tables):
        check_newest(lakehouse)
        streams = Streams(lakehouse, seconds)
        try:
            streams.start()
            yield streams
        finally:
            streams.end()
