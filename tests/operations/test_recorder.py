"""What a process does is put on record by delta-rs, once, whatever befalls it; without Spark."""

import datetime as dt
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from lakehouse.errors import StoreError
from lakehouse.operations import recorder as module
from lakehouse.operations.recorder import Recorder
from lakehouse.operations.rows import KILLED
from lakehouse.storage.delta.locks import exclusive
from lakehouse.storage.delta_log import added_between
from tests.storage.test_delta_log import table_of
from tests.support.batch_reports import lakehouse_at, report, rows_of, span


@pytest.fixture
def root(tmp_path):
    return lakehouse_at(tmp_path / "plant")


def version(root, name):
    commits = (root / "gold" / name / "_delta_log").glob("*.json")
    return max(int(path.stem) for path in commits)


def begun(root, job="score"):
    found = Recorder(str(root), job)
    found.begin()
    return found


def test_a_job_that_did_something_leaves_a_row_and_one_for_each_batch_in_one_commit_a_table(root):
    job = begun(root)
    job.reports += [report(0, counts={"rows_out": 5}), report(1)]
    with job.phase("score"):
        time.sleep(0.01)
    job.end(0)
    (run,) = rows_of(root, "job_run")
    assert (run["job"], run["outcome"], run["exit_code"], run["batches"]) == ("score", "ok", 0, 2)
    assert run["phase_seconds"]["score"] >= 0.01
    assert run["seconds"] >= run["phase_seconds"]["score"]
    batches = rows_of(root, "batch_metrics", "batch_id")
    assert [row["batch_id"] for row in batches] == [0, 1]
    assert {row["run_id"] for row in batches} == {run["run_id"]}
    assert (version(root, "job_run"), version(root, "batch_metrics")) == (1, 1)


def test_a_batch_that_is_replayed_after_it_was_on_record_is_not_told_twice(root):
    """The process was killed after the commit and before Spark's own: the batch comes again."""
    for _ in range(2):
        job = begun(root)
        job.reports += [report(0), report(1)]
        job.end(0)
    job = begun(root)
    job.reports += [report(1), report(2)]
    job.end(0)
    assert [row["batch_id"] for row in rows_of(root, "batch_metrics", "batch_id")] == [0, 1, 2]


def test_a_failed_attempt_and_its_replay_are_two_rows(root):
    job = begun(root)
    job.reports += [report(0), report(1, error=StoreError("full"))]
    job.end(2, StoreError("full"))
    job = begun(root)
    job.reports.append(report(1))
    job.end(0)
    found = [(row["batch_id"], row["outcome"]) for row in rows_of(root, "batch_metrics")]
    assert sorted(found) == [(0, "ok"), (1, "failed"), (1, "ok")]


def test_what_was_read_and_what_waits_is_as_the_sources_logs_tell(root):
    path = root / "silver" / "sensor_reading"
    table_of(path, 3, 5, 7)
    job = begun(root)
    job.reports += [
        report(0, sources=(span(path, None, 2),)),
        report(1, sources=(span(path, 2, 3),)),
    ]
    job.end(0)
    first, second = rows_of(root, "batch_metrics", "batch_id")
    assert (first["rows_in"], first["files_in"]) == (3, 1)
    assert first["backlog_files"] is None  # another one followed
    assert (second["rows_in"], second["backlog_files"], second["backlog_rows"]) == (5, 1, 7)
    left = added_between(str(path), 3)
    assert second["backlog_bytes"] == left.size
    expected = (second["recorded_at"] - left.since).total_seconds()
    assert second["oldest_waiting_seconds"] == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("code", "error", "outcome"),
    [
        (2, StoreError("it is full"), "refused"),
        (3, ValueError("7 is none"), "failed"),
        (130, KeyboardInterrupt(), "interrupted"),
        (1, None, "failed"),
    ],
)
def test_a_job_that_did_not_end_well_leaves_its_row(root, code, error, outcome):
    begun(root).end(code, error)
    (run,) = rows_of(root, "job_run")
    assert (run["outcome"], run["exit_code"]) == (outcome, code)
    assert run["error_class"] == (type(error).__name__ if error else None)


def test_no_secret_is_kept_of_an_error(root, monkeypatch):
    monkeypatch.setenv("PLANT_TOKEN", "t0ken-of-mine")
    error = OSError("PUT https://ann:p@ss@store/x?sig=abc was refused: t0ken-of-mine")
    begun(root).end(3, error)
    (run,) = rows_of(root, "job_run")
    assert run["error"] == "PUT https://***@store/x?sig=*** was refused: ***"


def test_a_lakehouse_of_an_older_release_gets_the_table_for_its_failure(tmp_path):
    (tmp_path / "_system").mkdir()
    begun(tmp_path).end(3, RuntimeError("Java gateway process exited"))
    (run,) = rows_of(tmp_path, "job_run")
    assert run["error"] == "Java gateway process exited"


def test_a_folder_without_a_lakehouse_is_left_alone(tmp_path):
    begun(tmp_path).end(3, RuntimeError("no Java"))
    assert list(tmp_path.iterdir()) == []


def test_an_idle_job_by_the_clock_is_on_record_once_an_hour_and_others_always(root):
    for _ in range(3):
        begun(root, "score").end(0)
        begun(root, "rollback").end(0)
    assert sorted(row["job"] for row in rows_of(root, "job_run")) == ["rollback"] * 3 + ["score"]
    last = root / "_system" / "runs" / "score.last"
    an_hour_ago = time.time() - 3601
    os.utime(last, (an_hour_ago, an_hour_ago))
    begun(root, "score").end(0)
    assert len(rows_of(root, "job_run")) == 5


def test_a_process_that_goes_on_has_a_row_for_each_pass_that_did_something(root, monkeypatch):
    job = begun(root, "run_pipeline")
    for number in range(4):
        job.begin_pass(job.reports)
        if number in (0, 2):
            job.reports.append(report(number))
        job.end_pass()
    runs = rows_of(root, "job_run")
    assert [(row["pass"], row["batches"], row["exit_code"]) for row in runs] == [
        (1, 1, None),
        (2, 1, None),
    ]
    monkeypatch.setattr(module, "IDLE_FOR", dt.timedelta(0))
    job.end_pass()
    assert rows_of(root, "job_run")[-1]["batches"] == 0
    job.end(0)
    assert len(rows_of(root, "job_run")) == 3, "the passes have told all"


def test_an_error_that_a_pass_told_is_not_told_again_by_the_job(root):
    job, error = begun(root, "run_pipeline"), StoreError("full")
    job.begin_pass(job.reports)
    job.fail_pass(error)
    job.end(2, error)
    (run,) = rows_of(root, "job_run")
    assert (run["outcome"], run["exit_code"]) == ("refused", 2)


KILLED_JOB = """
import sys, time
from lakehouse.operations.recorder import Recorder
job = Recorder(sys.argv[1], "aggregate_kpis")
job.begin()
print("begun", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_a_job_that_was_killed_is_told_by_the_next_one_and_once(root):
    killed = subprocess.Popen(
        [sys.executable, "-c", KILLED_JOB, str(root)], stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None
    assert killed.stdout.readline() == "begun\n"
    begun(root, "rollback").end(0)  # the other one lives
    assert [row["outcome"] for row in rows_of(root, "job_run")] == ["ok"]
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    for _ in range(2):
        begun(root, "rollback").end(0)
    (found,) = [row for row in rows_of(root, "job_run") if row["outcome"] == KILLED]
    assert (found["job"], found["ended_at"], found["seconds"]) == ("aggregate_kpis", None, None)
    assert found["began_at"] < found["recorded_at"]
    assert not list((root / "_system" / "runs").glob("*.json"))


def test_a_record_that_cannot_be_written_is_a_warning_and_no_error(root, monkeypatch, caplog):
    monkeypatch.setattr(module, "_PATIENCE", 0.1)
    job = begun(root)
    job.reports.append(report(0))
    with exclusive(str(root), "gold.batch_metrics"):
        job.end(0)
    assert "could not be put on record" in caplog.text
    assert rows_of(root, "batch_metrics") == []
    assert len(rows_of(root, "job_run")) == 1


class Panic(BaseException):
    """What a library in Rust raises."""


def test_a_panic_of_a_library_while_recording_does_not_fail_the_job(root, monkeypatch, caplog):
    def panics(*_, **__):
        raise Panic

    monkeypatch.setattr(module, "write_deltalake", panics)
    begun(root).end(0)
    assert "could not be put on record" in caplog.text


def _records(root, job, n_batches):
    found = Recorder(root, job)
    for number in range(n_batches):
        found.reports.append(report(number, query=job, query_id=job))
        found.end_pass()


@pytest.mark.slow
def test_jobs_that_write_at_once_lose_nothing_and_small_files_are_gathered(root):
    context = multiprocessing.get_context("spawn")
    jobs = [context.Process(target=_records, args=(str(root), job, 27)) for job in ("a", "b")]
    for each in jobs:
        each.start()
    for each in jobs:
        each.join()
    rows = rows_of(root, "batch_metrics")
    assert sorted((row["query"], row["batch_id"]) for row in rows) == [
        (job, number) for job in ("a", "b") for number in range(27)
    ]
    files = module.DeltaTable(root / "gold" / "batch_metrics").file_uris()
    assert len(files) < 50


def test_a_tick_puts_the_batches_of_a_stream_on_record_until_the_job_ends(root):
    job, ticks = begun(root), []
    job.reports.append(report(0))
    before = threading.enumerate()
    job.tick(lambda: ticks.append(len(rows_of(root, "batch_metrics"))), seconds=0.02)
    (ticking,) = set(threading.enumerate()) - set(before)
    for _ in range(500):
        if ticks:
            break
        time.sleep(0.02)
    assert ticks[0] == 1
    job.begin_pass(job.reports)  # from now on the job tells where its passes end
    job.end(0)
    ticking.join(timeout=30)
    assert not ticking.is_alive()
