"""Rows of gold.job_run and gold.batch_metrics as metrics: jobs that fail, stay away, fall behind."""

import pytest

from lakehouse.alerts.job_metrics import failed_jobs, growing_backlogs, jobs_overdue
from tests.support.alert_rows import DAY, HOUR, START, model_with, readings

MODEL, NOW = model_with(), START + 40 * DAY


def run(job="run_pipeline", outcome="ok", ago=HOUR, **given):
    row = {"job": job, "pass": 1, "outcome": outcome, "error_class": None, "error": None}
    return row | {"recorded_at": NOW - ago} | given


def level(measure, at=NOW, **rows):
    return measure(readings(START, at=at, **rows), MODEL)


def test_a_job_has_failed_as_long_as_its_newest_run_did():
    failed = run(outcome="failed", ago=2 * HOUR, error_class="OSError", error="disk full")
    found = level(failed_jobs, runs=[failed])
    assert (found.value, found.detail) == (1, "run_pipeline: OSError: disk full")
    assert found.by_wall_clock
    assert level(failed_jobs, runs=[failed, run()]).value == 0
    assert level(failed_jobs, runs=[run(), failed]).value == 0  # whatever order rows come in
    assert level(failed_jobs, runs=[failed, run("score")]).value == 1


def test_a_killed_job_is_a_failure_and_an_interrupted_one_is_not():
    killed = level(failed_jobs, runs=[run(outcome="killed")])
    assert (killed.value, killed.detail) == (1, "run_pipeline: killed: it never ended")
    assert level(failed_jobs, runs=[run(outcome="interrupted")]).value == 0


def test_what_a_person_runs_is_news_for_a_day_and_a_refusal_is_none():
    assert level(failed_jobs, runs=[run("rollback", "refused")]).value == 0
    assert level(failed_jobs, runs=[run("ingest", "refused")]).value == 1
    assert level(failed_jobs, runs=[run("rollback", "failed", 23 * HOUR)]).value == 1
    assert level(failed_jobs, runs=[run("rollback", "failed", 25 * HOUR)]).value == 0
    assert level(failed_jobs, runs=[run("ingest", "failed", 6 * DAY)]).value == 1
    assert level(failed_jobs, runs=[run("ingest", "failed", 8 * DAY)]).value == 0


NIGHTS = [run(ago=n * DAY) for n in range(10, 0, -1)]


@pytest.mark.parametrize(
    ("later", "overdue"), [(0 * DAY, 0), (0.9 * DAY, 0), (1.1 * DAY, 1), (7 * DAY, 1), (9 * DAY, 0)]
)
def test_a_nightly_job_is_overdue_after_two_days_and_is_chased_for_a_week(later, overdue):
    assert level(jobs_overdue, at=NOW + later, runs=NIGHTS).value == overdue


def test_a_job_is_not_missed_before_its_habit_is_known_nor_one_that_persons_run():
    at = NOW + 3 * DAY
    assert level(jobs_overdue, at=at, runs=NIGHTS[-5:]).value == 0
    burst = [run(ago=n * HOUR / 60) for n in range(60, 0, -1)]
    assert level(jobs_overdue, at=at, runs=burst).value == 0, "an hour's runs are no schedule"
    by_hand = [row | {"job": "rollback"} for row in NIGHTS]
    assert level(jobs_overdue, at=at, runs=by_hand).value == 0


def test_runs_by_hand_between_the_nights_do_not_make_a_job_overdue_sooner():
    often = sorted(
        [*NIGHTS, *(run(ago=DAY + n * HOUR / 60) for n in range(1, 30))],
        key=lambda row: row["recorded_at"],
    )
    assert level(jobs_overdue, at=NOW + 0.9 * DAY, runs=often).value == 0


def batch(hours_ago, files, query="score"):
    return {"query": query, "backlog_files": files, "recorded_at": NOW - hours_ago * HOUR}


@pytest.mark.parametrize(
    ("files", "grows"),
    [
        ([1, 2, 3, 4], 1),
        ([0, 1, 5, 9], 1),
        ([9, 1, 2, 3, 4], 1),
        ([2, 3, 4], 0),
        ([1, 2, 2, 3], 0),
        ([4, 3, 2, 1], 0),
    ],
)
def test_a_backlog_grows_where_three_hours_in_a_row_have_more_than_the_one_before(files, grows):
    rows = [batch(len(files) - place, each) for place, each in enumerate(files)]
    assert level(growing_backlogs, batches=rows).value == grows


def test_an_hour_counts_by_its_greatest_backlog_and_each_stream_by_itself():
    rows = [batch(4, 1), batch(3, 2), batch(2, 3), batch(1, 0), batch(1, 4), batch(1, None)]
    found = level(growing_backlogs, batches=rows)
    assert (found.value, found.detail) == (1, "score: 1 → 2 → 3 → 4 files")
    others = [batch(4 - n, n, "ingest" if n % 2 else "score") for n in range(4)]
    assert level(growing_backlogs, batches=others).value == 0
