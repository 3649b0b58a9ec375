"""One process of several machines does a kind of work; who lost the right writes no more."""

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from lakehouse.errors import LockedError
from lakehouse.storage.delta import leases
from lakehouse.storage.delta.leases import SKEW, SPAN, Lease, check_leases, hold_leases

NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> dt.datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test holds is not held after it."""
    monkeypatch.setattr(leases, "_held", [])
    yield


def lease(root: Path, clock: Clock, kind: str = "score") -> Lease:
    return Lease(f"file://{root}", kind, clock)


def test_the_second_is_told_who_holds_a_lease_and_when_it_ends(tmp_path: Path, clock: Clock):
    lease(tmp_path, clock).take()
    with pytest.raises(LockedError, match=r"score is being done by .*process \d+.*12:06:00 UTC"):
        lease(tmp_path, clock).take()
    lease(tmp_path, clock, "ingest").take()  # other work may go on beside it


def test_a_lease_of_a_process_that_died_is_free_after_its_span(tmp_path: Path, clock: Clock):
    before, after = lease(tmp_path, clock), lease(tmp_path, clock)
    before.take()
    clock.at += SPAN
    with pytest.raises(LockedError):
        after.take()  # the other clock may be late
    clock.at += SKEW
    after.take()
    assert after.token == before.token + 1


def test_whoever_lost_a_lease_is_stopped_at_the_next_write(tmp_path: Path, clock: Clock):
    before, after = lease(tmp_path, clock), lease(tmp_path, clock)
    before.take()
    before.check()
    clock.at += SPAN + SKEW
    with pytest.raises(LockedError, match="has lost its lease of score"):
        before.check()  # its own clock tells
    after.take()
    after.check()
    before.until = clock.at + SPAN  # a clock that stood still: the token tells
    with pytest.raises(LockedError, match="has lost its lease of score"):
        before.check()
    before.renew()
    with pytest.raises(LockedError):
        before.check()
    after.check()


def test_a_lease_that_is_renewed_stays(tmp_path: Path, clock: Clock):
    own = lease(tmp_path, clock)
    own.take()
    for _ in range(5):
        clock.at += SPAN / 3
        own.renew()
        own.check()
    with pytest.raises(LockedError):
        lease(tmp_path, clock).take()


def test_a_lease_that_is_released_is_free_at_once(tmp_path: Path, clock: Clock):
    own = lease(tmp_path, clock)
    own.take()
    own.renew()
    own.release()
    lease(tmp_path, clock).take()


def test_of_many_that_claim_a_lease_at_once_one_gets_it(tmp_path: Path, clock: Clock):
    first = lease(tmp_path, clock)
    first.take()
    first.release()

    def try_to_take(_: int) -> bool:
        try:
            lease(tmp_path, clock).take()
        except LockedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(try_to_take, range(8))) == 1


def test_a_commit_that_another_kind_s_overtook_is_tried_again(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    overtaken = iter([True, False])

    def write(*given: Any, **named: Any) -> None:
        if next(overtaken):
            raise CommitFailedError("another commit was faster")
        write_deltalake(*given, **named)

    monkeypatch.setattr(leases, "write_deltalake", write)
    own = lease(tmp_path, clock)
    own.take()
    own.check()


def test_kinds_of_one_lakehouse_are_held_and_renewed_at_once(tmp_path: Path, clock: Clock):
    kinds = [lease(tmp_path, clock, kind) for kind in ("ingest", "score", "aggregate_kpis")]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(Lease.take, kinds))
        for _ in range(3):
            list(pool.map(Lease.renew, kinds))
    for each in kinds:
        each.check()


def test_a_lease_renewed_again_and_again_keeps_few_files(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(leases, "_TIDIED_AFTER", 10)
    own = lease(tmp_path, clock)
    own.take()
    for _ in range(25):
        clock.at += SPAN / 3
        own.renew()
    assert len(list(tmp_path.glob("_system/lease/*.parquet"))) < 10
    assert len(DeltaTable(f"{tmp_path}/_system/lease").to_pyarrow_table()) == 1


def test_a_job_that_cannot_have_all_its_leases_holds_none(tmp_path: Path):
    root = f"file://{tmp_path}"
    Lease(root, "score").take()
    with pytest.raises(LockedError, match="score"):
        hold_leases(root, ["score", "aggregate_kpis"])
    Lease(root, "aggregate_kpis").take()


HOLD = """
import sys
from lakehouse.storage.delta.leases import hold_leases
hold_leases(sys.argv[1], ["score"])
"""


def test_a_process_that_ends_gives_its_lease_back(tmp_path: Path):
    root = f"file://{tmp_path}"
    subprocess.run([sys.executable, "-c", HOLD, root], check=True)
    hold_leases(root, ["score"])
    check_leases(root)
    check_leases(f"{root}/another")
