"""Which versions stay, and what of a folder no such version needs."""

import datetime as dt
from collections.abc import Iterable

import pytest

from lakehouse.errors import ConfigurationError
from lakehouse.maintenance.needs import Need
from lakehouse.maintenance.retained import (
    STRAY,
    kept_of,
    readable_ranges,
    refuse_older,
    unneeded_files,
    unneeded_log,
)
from lakehouse.storage.delta.log_files import Log
from lakehouse.storage.folders import FileOnDisk
from lakehouse.tables.retention import Retention

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
A_WEEK = Retention(days=7, versions=1000)


def log_of(newest: int, checkpoints: Iterable[int], without: Iterable[int] = ()) -> Log:
    """A log of a commit a day, the newest one made now."""
    kinds = {"json": set(range(newest + 1)) - set(without), "checkpoint.parquet": set(checkpoints)}
    return Log(
        tuple(
            FileOnDisk(f"{version:020d}.{kind}", 1, NOW - dt.timedelta(days=newest - version))
            for kind, versions in kinds.items()
            for version in versions
        )
    )


def file(name: str, age: dt.timedelta) -> FileOnDisk:
    return FileOnDisk(name, 1, NOW - age)


def ranges_of(log: Log, *needs: Need, retention: Retention = A_WEEK) -> list[tuple[int, int]]:
    return readable_ranges(log, kept_of(log, retention, needs, NOW))


def test_without_a_need_versions_go_by_age_up_to_the_checkpoint_before():
    log = log_of(100, [50, 90])
    kept = kept_of(log, A_WEEK, [], NOW)
    assert (kept.first, kept.because, kept.pinned) == (93, "age", {})
    assert readable_ranges(log, kept) == [(90, 100)]
    gone = {int(each.name[:20]) for each in unneeded_log(log, [(90, 100)])}
    assert gone == set(range(90))


def test_no_more_than_so_many_versions_stay_but_for_those_of_the_last_hour():
    retention = Retention(days=7, versions=3)
    assert kept_of(log_of(100, [50]), retention, [], NOW).first == 98
    quick = Retention(days=7, versions=3, least=dt.timedelta(days=5))
    assert kept_of(log_of(100, [50]), quick, [], NOW).first == 95


def test_a_version_in_need_stays_with_all_that_it_is_read_from():
    log = log_of(100, [20, 50, 90])
    kept = kept_of(log, A_WEEK, [Need("t", 57, "model/5"), Need("t", 57, "window/x")], NOW)
    assert kept.pinned == {57: ("model/5", "window/x")}
    ranges = readable_ranges(log, kept)
    assert ranges == [(50, 57), (90, 100)]
    gone = {int(each.name[:20]) for each in unneeded_log(log, ranges)}
    assert gone == set(range(50)) | set(range(58, 90))


def test_needs_that_are_near_share_a_range():
    log = log_of(100, [20, 50, 90])
    assert ranges_of(log, Need("t", 55, "a"), Need("t", 57, "b"), Need("t", 89, "c")) == [(50, 100)]


def test_a_reader_keeps_all_from_where_it_goes_on():
    log = log_of(100, [20, 50, 90])
    kept = kept_of(log, A_WEEK, [Need("t", 60, "the stream score", and_later=True)], NOW)
    assert (kept.first, kept.because) == (60, "the stream score")
    assert readable_ranges(log, kept) == [(50, 100)]
    ahead = Need("t", 101, "the stream score", and_later=True)  # it has read everything
    assert ranges_of(log, ahead) == [(90, 100)]


def test_what_was_let_go_before_stays_gone_and_is_told():
    log = log_of(100, [50, 90], without=range(60, 91))
    kept = kept_of(log, A_WEEK, [Need("t", 57, "model/5"), Need("t", 70, "model/6")], NOW)
    assert (kept.pinned, kept.gone) == ({57: ("model/5",)}, {70: ("model/6",)})
    assert readable_ranges(log, kept) == [(50, 57), (90, 100)]


def test_a_log_that_lost_a_commit_is_not_whole():
    assert log_of(100, [50, 90], without=range(60, 91)).is_whole  # what maintenance leaves
    lost = log_of(100, [50, 90], without=[95])
    assert not lost.is_whole
    assert (lost.base(94), lost.base(95), lost.base(96)) == (90, None, None)
    with pytest.raises(ValueError, match="cannot be read"):
        readable_ranges(lost, kept_of(lost, A_WEEK, [], NOW))


def test_without_a_checkpoint_everything_is_read_from_the_first_commit():
    assert ranges_of(log_of(40, [])) == [(0, 40)]
    assert unneeded_log(log_of(40, []), [(0, 40)]) == []


def test_a_file_goes_with_the_commits_that_name_it_and_a_stray_one_when_it_is_old():
    day = dt.timedelta(days=1)
    on_disk = [
        file("in-use.parquet", 90 * day),
        file(".in-use.parquet.crc", 90 * day),
        file("day=1%20March/in-use.parquet", 90 * day),
        file("let-go.parquet", day),
        file(".let-go.parquet.crc", day),
        file("being-written.parquet", day),
        file("stray.parquet", STRAY + day),
    ]
    kept = {"in-use.parquet", "day=1%2520March/in-use.parquet"}
    gone = unneeded_files(on_disk, kept, {"let-go.parquet", "in-use.parquet"}, NOW)
    names = [each.name for each in gone]
    assert names == ["let-go.parquet", ".let-go.parquet.crc", "stray.parquet"]


def test_who_asks_for_less_than_is_needed_is_told_of_what_and_by_whom():
    logs = {"silver.t": log_of(100, [50])}
    needs = [Need("silver.t", 57, "model/5"), Need("silver.t", 60, "the stream score", True)]
    with pytest.raises(
        ConfigurationError, match=r"--keep-days 30: silver.t@57 is needed by model/5, and 1 more"
    ):
        refuse_older(30, logs, needs, NOW)
    with pytest.raises(ConfigurationError, match="@60 and later ones are needed by the stream"):
        refuse_older(30, logs, needs[1:], NOW)
    refuse_older(50, logs, needs, NOW)
    refuse_older(0, logs, [Need("silver.t", 100, "model/9"), Need("other.t", 1, "x")], NOW)
