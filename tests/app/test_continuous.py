"""Streams that go on do what passes do: each line once, whatever was killed, and go on where those
stopped.
"""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from lakehouse.app import continuous
from lakehouse.app.continuous import Streams, streaming
from lakehouse.ingest.account import account
from lakehouse.ingest.pipeline import ingest
from lakehouse.lineage.verification import DIFFERENT
from lakehouse.monitoring.aggregator import aggregate_kpis
from lakehouse.retraining.retrain_and_promote import retrain_and_promote
from lakehouse.scoring.scorer import score
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.verification.verify import checks_of
from tests.support.kills import KilledError, Steps, stepping
from tests.support.small_model import land_days, small_lakehouse

FIRST, SECOND, THIRD = range(150), range(150, 200), range(200, 230)
PATIENCE = 600.0
DIES_AT = {
    "before batch of ingest",
    "after write of bronze.reading",
    "after write of silver.scoring_ledger",
    "before write of silver.guess",
    "after write of silver.guess",
    "after batch of score",
    "after write of gold.window_facts",
}


@pytest.fixture
def lakehouse(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lakehouse:
    """A first model has come, and nothing is scored yet."""
    monkeypatch.setattr(continuous, "METRICS_SECONDS", 0.5)
    found = small_lakehouse(spark, tmp_path / "lake")
    land_days(found, "first", FIRST)
    ingest(found, AVAILABLE_NOW)
    assert retrain_and_promote(found, AVAILABLE_NOW)
    return found


def run_until(streams: Streams, is_done: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not is_done():
        assert time.monotonic() < until, "it takes too long"
        streams.watch(0.0)


def n_predicted(lakehouse: Lakehouse) -> int:
    return lakehouse.store.count(lakehouse.catalog.predictions)


def n_measured(lakehouse: Lakehouse) -> int:
    facts = lakehouse.store.rows(lakehouse.catalog.window_facts, columns=["quality"])
    return sum(row["quality"]["n_labelled"] for row in facts)


def writers_of(lakehouse: Lakehouse) -> list[str]:
    """What has written each commit of predictions but the first, which made the table."""
    table = lakehouse.store.path(lakehouse.catalog.predictions)
    commits = DeltaTable(table).history()[:-1]
    return [str(commit.get("clientVersion") or commit.get("engineInfo")) for commit in commits]


def assert_is_whole(lakehouse: Lakehouse, rows: int) -> None:
    """Each reading has one prediction, each line its place, and each table what it promises."""
    keys = lakehouse.store.arrow(lakehouse.catalog.predictions, columns=["id"])["id"]
    assert Counter(keys.to_pylist()) == Counter(range(rows))
    checks = list(checks_of(lakehouse, account(lakehouse)))
    assert [check for check in checks if check.state == DIFFERENT] == []


def test_streams_take_up_what_lands_and_passes_go_on_where_they_stopped(
    lakehouse: Lakehouse,
) -> None:
    with streaming(lakehouse, 0.5) as streams:
        run_until(streams, lambda: n_measured(lakehouse) == len(FIRST))
        land_days(lakehouse, "second", SECOND)
        run_until(streams, lambda: n_measured(lakehouse) == SECOND.stop)
        land_days(lakehouse, "third", THIRD)
        run_until(streams, lambda: n_predicted(lakehouse) == THIRD.stop)
        ids = {str(query.streaming.id) for query in streams._queries.values()}
    assert not any(query.streaming.isActive for query in streams._queries.values())
    assert all("delta-rs" in writer for writer in writers_of(lakehouse)), "they are small batches"
    for step in (ingest, score, aggregate_kpis):
        step(lakehouse, AVAILABLE_NOW)
    assert_is_whole(lakehouse, THIRD.stop)
    before = lakehouse.store.versions(lakehouse.catalog.predictions, lakehouse.catalog.window_facts)
    with streaming(lakehouse, 0.5) as streams:
        streams.watch(1.0)
        assert {str(query.streaming.id) for query in streams._queries.values()} == ids
    assert before == lakehouse.store.versions(
        lakehouse.catalog.predictions, lakehouse.catalog.window_facts
    )


def test_streams_killed_at_named_steps_end_as_if_nothing_had_been(lakehouse: Lakehouse) -> None:
    land_days(lakehouse, "second", SECOND)
    left = set(DIES_AT)
    while left:
        steps = Steps(lambda name: name in left)
        with (
            pytest.raises(KilledError),
            stepping(steps),
            streaming(lakehouse, 0.5) as streams,
        ):
            run_until(streams, lambda: False)
        left.remove(steps.reached[-1])
    with streaming(lakehouse, 0.5) as streams:
        run_until(streams, lambda: n_measured(lakehouse) == SECOND.stop)
    assert_is_whole(lakehouse, SECOND.stop)
