"""The streams of one application: how they begin, what ends them, and how. Without Spark."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from lakehouse.app import continuous
from lakehouse.app.continuous import Streams
from lakehouse.errors import LandingError, StoreError


class Going:
    """Stands for a streaming query that goes on until an error ends it."""

    def __init__(self, name: str, done: list[str]) -> None:
        self.name, self.done, self.error = name, done, None
        self.ended_by: int | None = None

    def wait(self, continuous: bool) -> bool:
        assert continuous
        if self.error is not None:
            raise self.error
        return False

    def end(self, patience: float) -> None:
        self.done.append(f"{self.name} ended")
        self.ended_by = threading.get_ident()

    def report(self) -> None:
        pass


@pytest.fixture
def way(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is started, in order; the champion; and what a look at the landing folders does."""
    found = SimpleNamespace(done=[], queries={}, champion="1", look=lambda: None, looks=0)

    def started(name: str) -> Callable[..., Going]:
        def start(*_: object) -> Going:
            found.done.append(f"{name} started")
            found.queries[name] = Going(name, found.done)
            return found.queries[name]

        return start

    def look() -> None:
        found.looks += 1
        found.look()

    monkeypatch.setattr(
        continuous,
        "Intake",
        lambda *given: SimpleNamespace(query=started("ingest")(), look=look),
    )
    monkeypatch.setattr(continuous, "Scorer", lambda *_, **__: SimpleNamespace(handle=None))
    monkeypatch.setattr(continuous, "start_scoring", started("score"))
    monkeypatch.setattr(continuous, "start_aggregation", started("aggregate"))
    monkeypatch.setattr(
        continuous, "PromotionLedger", lambda _: SimpleNamespace(champion=found.champion)
    )
    return found


@pytest.fixture
def streams(way: Any) -> Any:
    found = Streams(SimpleNamespace(), 0.01)  # type: ignore[arg-type]
    yield found
    found.end()


def test_each_stream_is_started_once_and_ended_in_the_order_of_the_way(way, streams):
    streams.start()
    streams.watch(0.0)
    streams.watch(0.0)
    streams.end()
    started = ["ingest started", "score started", "aggregate started"]
    assert way.done == [*started, "ingest ended", "score ended", "aggregate ended"]


def test_scoring_waits_for_a_champion_and_begins_once(way, streams):
    way.champion = None
    streams.start()
    assert "score started" not in way.done
    way.champion = "1"
    streams.start_scoring()
    streams.start_scoring()
    assert way.done.count("score started") == 1


def test_an_error_of_one_stream_is_raised_as_it_is(way, streams):
    streams.start()
    way.queries["score"].error = StoreError("a file is gone")
    with pytest.raises(StoreError, match="a file is gone"):
        streams.watch(60.0)


def test_an_error_of_a_look_at_the_landing_folders_is_raised_as_it_is(way, streams):
    def look() -> None:
        raise LandingError("landing: not allowed")

    way.look = look
    streams.start()
    streams._feeder.join()
    with pytest.raises(LandingError, match="not allowed"):
        streams.watch(60.0)


def test_landing_folders_are_looked_at_until_the_streams_end(way, streams):
    seen = threading.Event()
    way.look = lambda: seen.set() if way.looks > 2 else None
    streams.start()
    assert seen.wait(10)
    streams.end()
    looks = way.looks
    assert not streams._feeder.is_alive()
    assert way.looks == looks


def test_a_stream_that_cannot_be_ended_does_not_keep_the_others_running(way, streams):
    def broken(patience: float) -> None:
        raise ConnectionRefusedError

    streams.start()
    way.queries["ingest"].end = broken
    streams.end()
    assert way.done[-2:] == ["score ended", "aggregate ended"]


def test_streams_are_ended_by_a_thread_whose_calls_to_spark_no_signal_has_cut_off(way, streams):
    streams.start()
    streams.end()
    ended_by = {query.ended_by for query in way.queries.values()}
    assert not ended_by & {None, threading.get_ident()}
