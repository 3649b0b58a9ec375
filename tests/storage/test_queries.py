"""Streaming queries: what ends them is told, and a micro-batch keeps its identity."""

import datetime as dt
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from lakehouse.errors import ConfigurationError, LakehouseError, StoreError
from lakehouse.settings import load_model_settings
from lakehouse.storage.batch_reports import Attempt
from lakehouse.storage.queries import (
    AVAILABLE_NOW,
    Batch,
    Query,
    _trigger,
    interval_seconds,
    run,
    run_all,
)
from lakehouse.storage.store import Store
from lakehouse.tables import DUPLICATE, QUARANTINE, catalog_of
from tests.support.batch_reports import attempt, progress
from tests.support.rows import land, moment


@pytest.mark.parametrize(
    ("trigger", "seconds"),
    [("available-now", None), ("10 seconds", 10), (" 1   minute ", 60), ("2 weeks", 1_209_600)],
)
def test_a_trigger_is_a_word_or_an_interval(trigger: str, seconds: float | None) -> None:
    assert interval_seconds(trigger) == seconds


@pytest.mark.parametrize(
    "trigger", ["", "now", "10", "10 sec", "0 seconds", "-1 seconds", "available_now"]
)
def test_another_trigger_is_refused_with_what_to_write(trigger: str) -> None:
    with pytest.raises(
        ConfigurationError, match="--trigger: write `available-now` or an interval; write a number"
    ):
        interval_seconds(trigger)


def test_a_batch_has_one_transaction_for_each_table_and_checkpoint() -> None:
    batch = Batch("q", 3)
    assert batch.transaction(QUARANTINE) == Batch("q", 3).transaction(QUARANTINE)
    others = [
        batch.transaction(DUPLICATE),
        Batch("p", 3).transaction(QUARANTINE),
        Batch("q", 4).transaction(QUARANTINE),
    ]
    assert len({batch.transaction(QUARANTINE), *others}) == 4
    assert batch.transaction(QUARANTINE).version == 3


class Running:
    """Stands for Spark's query: ends after so many waits, or fails, or never ends."""

    def __init__(self, waits: float, error: Exception | None = None) -> None:
        self.waits, self.error, self.isActive, self.asked = waits, error, True, 0
        self.recentProgress: list[object] = []
        self.lastProgress: object | None = None
        self.id = "q"

    def awaitTermination(self, timeout: float | None = None) -> bool:  # noqa: N802 (Spark's own name)
        self.asked += 1
        assert timeout is not None or self.waits < float("inf"), "waits for ever"
        assert self.asked < 50, "waits for ever"
        self.waits -= 1
        if self.waits > 0:
            return False
        self.isActive = False
        if self.error:
            raise self.error
        return True

    def stop(self) -> None:
        self.isActive = False


def query(name: str, streaming: Running, *errors: LakehouseError) -> Query:
    attempts = {
        number: Attempt(dt.datetime.now(dt.UTC), error=each) for number, each in enumerate(errors)
    }
    return Query(name, streaming, list(errors), attempts)  # type: ignore[arg-type]


def test_available_now_waits_for_every_query() -> None:
    one, two = Running(3), Running(1)
    run_all([query("one", one), query("two", two)], AVAILABLE_NOW)
    assert not one.isActive
    assert not two.isActive


def test_a_continuous_query_that_stops_unexplained_is_an_error_and_ends_the_others() -> None:
    endless, stopped = Running(float("inf")), Running(2)
    with pytest.raises(
        LakehouseError, match="labels: the query stopped by itself; another process may own"
    ):
        run_all([query("readings", endless), query("labels", stopped)], "10 seconds")
    assert not endless.isActive


def test_the_first_error_ends_the_others_whichever_query_has_it() -> None:
    endless, failed = Running(float("inf")), Running(2, RuntimeError("a long story of Spark's"))
    with pytest.raises(StoreError, match="the disk is full"):
        run_all(
            [query("readings", endless), query("labels", failed, StoreError("the disk is full"))],
            "1 second",
        )
    assert not endless.isActive


def test_an_interruption_is_told_as_one_though_sparks_process_has_ended_with_it() -> None:
    class Interrupted(Running):
        def awaitTermination(self, timeout: float | None = None) -> bool:  # noqa: N802
            raise KeyboardInterrupt

        def stop(self) -> None:
            raise ConnectionRefusedError

    other = Running(float("inf"))
    with pytest.raises(KeyboardInterrupt):
        run_all([query("score", Interrupted(1)), query("ingest", other)], "1 second")
    assert not other.isActive


def test_an_error_of_sparks_own_is_raised_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="no such file"):
        run_all([query("readings", Running(1, RuntimeError("no such file")))], AVAILABLE_NOW)


@pytest.fixture
def lines(spark: SparkSession, tmp_path: Path) -> tuple[Store, Callable[[], DataFrame]]:
    land(tmp_path / "in", "a", ["x"], moment("2019-07-02T00:00:00"))
    store = Store(spark, str(tmp_path), catalog_of(load_model_settings("conf/glassware.yaml")))
    return store, lambda: spark.readStream.text(str(tmp_path / "in"))


def test_a_handlers_error_comes_out_as_itself_and_its_batch_comes_again_with_the_same_identity(
    lines: tuple[Store, Callable[[], DataFrame]],
) -> None:
    store, read = lines
    seen: list[Batch] = []
    failing = SimpleNamespace(now=True)

    def handle(rows: DataFrame, batch: Batch) -> None:
        assert rows.count() == 1
        seen.append(batch)
        if failing.now:
            raise StoreError("the disk is full")

    for failing.now in (True, False):
        started = run(store, "q", read(), handle, AVAILABLE_NOW)
        if failing.now:
            with pytest.raises(
                StoreError, match=r"^the disk is full\nmicro-batch 0 of the stream q$"
            ):
                run_all([started], AVAILABLE_NOW)
        else:
            run_all([started], AVAILABLE_NOW)
    failed, done = store.reports
    assert (failed.number, type(failed.attempt.error)) == (0, StoreError)
    assert (done.number, done.attempt.error, done.query_id) == (0, None, failed.query_id)
    assert done.phases["addBatch"] <= done.seconds
    run_all(
        [run(store, "q", read(), handle, AVAILABLE_NOW)], AVAILABLE_NOW
    )  # nothing new: not called
    run_all(
        [run(store, "other", read(), handle, AVAILABLE_NOW)], AVAILABLE_NOW
    )  # a checkpoint of its own
    assert [batch.number for batch in seen] == [0, 0, 0]
    assert seen[0] == seen[1] != seen[2]


def test_a_continuous_query_runs_until_it_is_stopped(
    lines: tuple[Store, Callable[[], DataFrame]],
) -> None:
    store, read = lines
    handled: list[int] = []
    started = run(store, "q", read(), lambda rows, batch: handled.append(batch.number), "1 second")
    deadline = time.monotonic() + 30
    while not handled and time.monotonic() < deadline:
        assert not started.wait(continuous=True)
    started.streaming.stop()
    with pytest.raises(LakehouseError, match="q: the query stopped by itself"):
        started.wait(continuous=True)
    assert handled == [0]


def test_streams_that_have_ended_leave_no_thread_behind(
    lines: tuple[Store, Callable[[], DataFrame]],
) -> None:
    store, read = lines
    threads: list[threading.Thread] = []

    def handle(rows: DataFrame, batch: Batch) -> None:
        threads.append(threading.current_thread())

    for name in ("first", "second", "third"):
        run_all([run(store, name, read(), handle, AVAILABLE_NOW)], AVAILABLE_NOW)
    for thread in threads[:-1]:
        thread.join(30)
    assert [thread.is_alive() for thread in threads] == [False, False, True]


def test_a_stream_that_is_at_work_is_not_disturbed_when_another_one_starts(
    lines: tuple[Store, Callable[[], DataFrame]],
) -> None:
    store, read = lines
    is_at_work, other_has_ended = threading.Event(), threading.Event()
    counted: list[int] = []

    def long_work(rows: DataFrame, batch: Batch) -> None:
        is_at_work.set()
        assert other_has_ended.wait(60)
        counted.append(rows.count())

    running = run(store, "running", read(), long_work, AVAILABLE_NOW)
    assert is_at_work.wait(60)
    run_all([run(store, "other", read(), lambda *_: None, AVAILABLE_NOW)], AVAILABLE_NOW)
    other_has_ended.set()
    run_all([running], AVAILABLE_NOW)
    assert counted == [1]


def told(number: int, **given: Any) -> SimpleNamespace:
    text = json.dumps(progress(number, **given))
    return SimpleNamespace(batchId=number, json=text)


def test_a_batch_is_reported_once_when_spark_has_told_its_end_and_idle_words_are_none() -> None:
    streaming = Running(5)
    waiting = told(1, durationMs={"latestOffset": 2, "triggerExecution": 2})
    running = Query("score", streaming, [], {0: attempt(), 1: attempt()})  # type: ignore[arg-type]
    streaming.lastProgress, streaming.recentProgress = waiting, [told(0), waiting]
    running.report()
    assert [each.number for each in running.reports] == [0]
    assert running.attempts.keys() == {1}, "Spark has not committed it yet"
    streaming.lastProgress = told(1)
    for _ in range(2):
        running.report()
    assert [each.number for each in running.reports] == [0, 1]


def test_what_spark_remembers_is_not_fetched_while_it_tells_nothing_new() -> None:
    class Forgetful(Running):
        @property
        def recentProgress(self) -> list[object]:  # noqa: N802 (Spark's own name)
            raise AssertionError("it takes a second")

        @recentProgress.setter
        def recentProgress(self, _: object) -> None:  # noqa: N802
            pass

    streaming = Forgetful(5)
    running = Query("score", streaming, [], {4: attempt()})  # type: ignore[arg-type]
    streaming.lastProgress = told(3)
    running.report()
    assert running.attempts.keys() == {4}
    streaming.lastProgress = told(4)
    running.report()
    assert not running.attempts


def test_a_stream_may_look_for_news_more_than_once_a_second() -> None:
    assert _trigger(0.2) == {"processingTime": "200 milliseconds"}
    assert _trigger("10 seconds") == {"processingTime": "10000 milliseconds"}
    assert _trigger(AVAILABLE_NOW) == {"availableNow": True}
