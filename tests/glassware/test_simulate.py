"""Landing the stream as files: whole, once, resumable from the folder alone, and never mixed."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep

import pandas as pd
import pytest

from jobs.simulate import main
from lakehouse.errors import ConfigurationError
from lakehouse.glassware import gateway as landing_module
from lakehouse.glassware.gateway import LABELS, READINGS, land_until, last_landed, next_midnight
from lakehouse.glassware.pieces import Stream
from lakehouse.glassware.scenarios import SCENARIOS

JOB = Path(__file__).parents[2] / "jobs" / "simulate.py"
STREAM = Stream("sensor_fault", seed=2, pieces=3600)


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2019, 7, number, hour, tzinfo=UTC)


def lines(landing: Path, topic: str) -> list[str]:
    """All lines in the order of the files' names."""
    return [
        line
        for path in sorted((landing / topic).glob("[!.]*"))
        for line in path.read_text().splitlines()
    ]


def snapshot(landing: Path) -> dict[Path, tuple[int, bytes]]:
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in landing.rglob("*")
        if path.is_file()
    }


def test_the_files_hold_exactly_what_has_happened_by_then(tmp_path: Path) -> None:
    moment = day(5, 13)
    land_until(STREAM, tmp_path, moment)
    for topic, rows, time in (
        (READINGS, STREAM.readings, "process_time"),
        (LABELS, STREAM.labels, "qualitycheck_time"),
    ):
        expected = rows(1, STREAM.pieces).to_pandas()
        expected = expected[expected[time] <= moment]
        landed = pd.DataFrame([json.loads(line) for line in lines(tmp_path, topic)])
        landed[time] = pd.to_datetime(landed[time], format="%Y-%m-%dT%H:%M:%S.%fZ", utc=True)
        pd.testing.assert_frame_equal(landed, expected, check_dtype=False, check_exact=True)


def test_a_file_is_named_after_its_first_and_last_piece(tmp_path: Path) -> None:
    files = land_until(STREAM, tmp_path, day(3), lines_per_file=200)
    assert [file.path.relative_to(tmp_path).as_posix() for file in files] == [
        "sensor_reading/sensor_reading-000000001-000000200.jsonl",
        "sensor_reading/sensor_reading-000000201-000000383.jsonl",
        "quality_check/quality_check-000000001-000000191.jsonl",
    ]
    for file in files:
        pids = [json.loads(line)["pid"] - 100_000 for line in file.path.read_text().splitlines()]
        assert pids == list(range(file.first_id, file.last_id + 1))
        assert file.lines == len(pids)


def test_a_missing_reading_lands_as_null(tmp_path: Path) -> None:
    land_until(STREAM, tmp_path, STREAM.end)
    row = json.loads(lines(tmp_path, READINGS)[3449])
    assert row["pid"] == 103_450
    assert row["pressure"] is None


def test_nothing_of_the_truth_is_in_the_files(tmp_path: Path) -> None:
    land_until(STREAM, tmp_path, STREAM.end)
    keys = {
        topic: {key for line in lines(tmp_path, topic) for key in json.loads(line)}
        for topic in (READINGS, LABELS)
    }
    assert keys[READINGS] == {"pid", "process_time", "temp", "pressure", "duration"}
    assert keys[LABELS] == {"pid", "qualitycheck_time", "quality"}
    assert {path.name for path in tmp_path.iterdir()} == {READINGS, LABELS, ".simulation.json"}


def test_many_small_steps_land_the_same_lines_as_one(tmp_path: Path) -> None:
    once, often = tmp_path / "once", tmp_path / "often"
    land_until(STREAM, once, day(6))
    moment = day(1) - timedelta(days=1)
    while moment < day(6):
        moment += timedelta(hours=5)
        land_until(STREAM, often, min(moment, day(6)), lines_per_file=7)
    for topic in (READINGS, LABELS):
        assert lines(often, topic) == lines(once, topic)


@pytest.mark.parametrize("moment", [day(4), day(3, 2), day(1)])
def test_the_same_or_an_earlier_moment_writes_nothing(tmp_path: Path, moment: datetime) -> None:
    land_until(STREAM, tmp_path, day(4))
    before = snapshot(tmp_path)
    assert land_until(STREAM, tmp_path, moment) == []
    assert snapshot(tmp_path) == before


def test_a_file_bears_the_simulated_moment_of_its_landing(tmp_path: Path) -> None:
    moment = datetime(2019, 7, 4, 12, 30, 0, 123456, tzinfo=UTC)
    for file in land_until(STREAM, tmp_path, moment):
        assert file.path.stat().st_mtime_ns == int(moment.timestamp()) * 10**9 + 123_456_000


def test_a_killed_run_leaves_no_part_of_a_file_in_sight_and_the_next_run_cleans_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_until(STREAM, tmp_path, day(3))
    before = {path for path in snapshot(tmp_path) if not path.name.startswith(".")}

    def dies_on_the_way(table):
        yield '{"pid": 1'
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(landing_module, "json_lines", dies_on_the_way)
        with pytest.raises(KeyboardInterrupt):
            land_until(STREAM, tmp_path, day(4))
    assert {path for path in snapshot(tmp_path) if not path.name.startswith(".")} == before
    assert list((tmp_path / READINGS).glob(".*"))

    land_until(STREAM, tmp_path, day(5))
    assert not list((tmp_path / READINGS).glob(".*"))
    whole = tmp_path / "whole"
    land_until(STREAM, whole, day(5))
    assert lines(tmp_path, READINGS) == lines(whole, READINGS)


def test_a_run_killed_between_two_files_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, calls = Path.replace, []

    def dies_at_the_third(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dies_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            land_until(STREAM, tmp_path / "killed", day(4), lines_per_file=100)
    assert last_landed(tmp_path / "killed", READINGS) == 100  # the first of the three is the marker

    land_until(STREAM, tmp_path / "killed", day(4), lines_per_file=100)
    land_until(STREAM, tmp_path / "whole", day(4))
    for topic in (READINGS, LABELS):
        assert lines(tmp_path / "killed", topic) == lines(tmp_path / "whole", topic)


@pytest.mark.slow
def test_two_runs_at_the_same_time_land_every_line_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    runs = [
        context.Process(target=land_until, args=(STREAM, tmp_path, day(8), count))
        for count in (13, 14)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert [run.exitcode for run in runs] == [0, 0]
    pids = [json.loads(line)["pid"] for line in lines(tmp_path, READINGS)]
    assert sorted(pids) == list(range(100_001, 100_001 + STREAM.last_reading_by(day(8))))


@pytest.mark.parametrize(
    "other",
    [
        Stream("demo", 2, 3600),
        Stream("sensor_fault", 3, 3600),
        Stream("sensor_fault", 2, 3601),
        Stream("sensor_fault", 2, 3600, 60.0),
    ],
    ids=["scenario", "seed", "pieces", "period"],
)
def test_two_simulations_never_mix_in_one_folder(tmp_path: Path, other: Stream) -> None:
    land_until(STREAM, tmp_path, day(2))
    before = snapshot(tmp_path)
    with pytest.raises(
        ConfigurationError, match="holds the simulation scenario sensor_fault, seed 2, pieces 3600"
    ):
        land_until(other, tmp_path, day(3))
    with pytest.raises(ConfigurationError, match="name another folder"):
        next_midnight(other, tmp_path)
    assert snapshot(tmp_path) == before


def test_a_folder_with_files_of_a_real_plant_is_refused(tmp_path: Path) -> None:
    (tmp_path / READINGS).mkdir()
    (tmp_path / READINGS / "gateway-1.jsonl").write_text("{}\n")
    with pytest.raises(ConfigurationError, match="no simulation wrote"):
        land_until(STREAM, tmp_path, day(2))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="is a file"):
        land_until(STREAM, tmp_path / "file", day(2))


@pytest.mark.parametrize(("pieces", "period"), [(600, 450.0), (40, 250_000.0)])
def test_from_midnight_to_midnight_everything_lands_and_then_nothing_is_due(
    tmp_path: Path, pieces: int, period: float
) -> None:
    stream = Stream(pieces=pieces, period=period)
    moments = []
    while (moment := next_midnight(stream, tmp_path)) is not None:
        assert land_until(stream, tmp_path, moment), "something was due"
        moments.append(moment)
        assert len(moments) < 200, "it never ends"
    assert moments == sorted(set(moments))
    assert all(
        moment == moment.replace(hour=0, minute=0, second=0, microsecond=0) for moment in moments
    )
    assert moments[-1] == stream.end
    assert len(lines(tmp_path, READINGS)) == len(lines(tmp_path, LABELS)) == pieces


def run_job(*words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(JOB.parent.parent)}
    return subprocess.run(
        [sys.executable, JOB, *words], capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.slow
def test_the_job_lands_everything_in_the_folder_that_it_is_given(tmp_path: Path) -> None:
    done = run_job(
        "--landing", str(tmp_path / "new"), "--pieces", "500", "--scenario", "stable", "--seed", "7"
    )
    assert done.returncode == 0, done.stderr
    assert "landed 1000 lines in 2 files" in done.stdout
    expected = [row["pid"] for row in Stream("stable", 7, 500).readings(1, 500).to_pylist()]
    assert [json.loads(line)["pid"] for line in lines(tmp_path / "new", READINGS)] == expected


@pytest.mark.slow
def test_the_job_says_in_one_sentence_what_is_wrong(tmp_path: Path) -> None:
    done = run_job("--landing", str(tmp_path), "--scenario", "drift")
    assert done.returncode == 2
    assert done.stderr.startswith("error: scenario: 'drift' is not known; write one of demo")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_help_names_every_scenario() -> None:
    done = run_job("--help")
    assert done.returncode == 0
    for name in SCENARIOS:
        assert f"\n  {name} " in done.stdout


def test_with_an_interval_the_job_lands_a_day_at_a_time_until_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        if threading.current_thread() is not threading.main_thread():  # it may pause as it likes
            return sleep(seconds)
        pauses.append(seconds)
        assert len(pauses) < 20, "it never ends"
        return None

    monkeypatch.setattr("jobs.simulate.time.sleep", pause)
    words = ["--landing", str(tmp_path), "--until", "2019-07-04T09:00", "--trigger", "10 seconds"]
    main(words)
    landed_at = sorted({path.stat().st_mtime for path in (tmp_path / READINGS).iterdir()})
    assert [datetime.fromtimestamp(t, UTC) for t in landed_at] == [
        day(2),
        day(3),
        day(4),
        day(4, 9),
    ]
    assert pauses == [10.0, 10.0, 10.0]
    before = snapshot(tmp_path)
    main(words)
    assert snapshot(tmp_path) == before
