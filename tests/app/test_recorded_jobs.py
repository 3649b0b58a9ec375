"""A job leaves a row of how it ended, and the metrics' file; also where it could hardly begin."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import explain, notify, silence
from lakehouse.app import command_line
from lakehouse.app.command_line import announce, exit_code_of, job_parser, serve_metrics
from lakehouse.errors import ConfigurationError, StoreError
from lakehouse.operations import recorder
from lakehouse.prometheus.publish import exposition_path
from tests.support.batch_reports import rows_of
from tests.support.plain_delta import lakehouse_at
from tests.support.processes import environment_of


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A lakehouse on disk, in a process that runs the job `score`."""
    monkeypatch.setattr(command_line, "_jobs", ["score"])
    monkeypatch.setattr(command_line, "_opened_roots", [])
    monkeypatch.setattr(recorder, "_recorders", [])
    lakehouse_at(tmp_path)
    return tmp_path


def ending(root, main):
    code = exit_code_of(main)
    return code, [(row["job"], row["outcome"], row["error"]) for row in rows_of(root, "job_run")]


def test_a_job_that_ends_well_is_on_record_and_leaves_its_metrics(root):
    assert ending(root, lambda _: announce(str(root)) and None) == (0, [("score", "ok", None)])
    assert 'outcome="ok"' in exposition_path(root).read_text()


@pytest.mark.parametrize(
    ("error", "code", "row"),
    [
        (StoreError("it is full"), 2, ("score", "refused", "it is full")),
        (ValueError("7\n is none"), 3, ("score", "failed", "7")),
        (KeyboardInterrupt(), 130, ("score", "interrupted", "no words")),
    ],
)
def test_a_job_that_fails_is_on_record_with_its_sentence(root, error, code, row):
    def main(_):
        announce(str(root))
        raise error

    assert ending(root, main) == (code, [row])
    assert "lakehouse_errors_total" in exposition_path(root).read_text()


def test_a_check_that_finds_something_is_on_record_by_its_exit_code(root):
    def main(_):
        announce(str(root))
        return 1

    assert ending(root, main) == (1, [("score", "failed", "exit code 1")])


def test_a_command_line_that_is_none_leaves_nothing(root):
    assert ending(root, lambda _: job_parser("").parse_args(["--nonsense"])) == (2, [])


@pytest.mark.parametrize(
    ("job", "words"),
    [(explain, ["--key", "7"]), (notify, ["--dry-run"]), (silence, [])],
    ids=["explain", "notify --dry-run", "silence"],
)
def test_a_job_that_only_looks_writes_nothing(root, job, words):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    exit_code_of(lambda _: job.main(["--root", str(root), *words]))
    logs = {path for path in root.rglob("*") if "log" in path.parts[-2:]}
    after = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path not in logs}
    assert {path for path in after if path.is_file()} == {path for path in before if path.is_file()}
    assert rows_of(root, "job_run") == []


def test_metrics_are_served_only_by_a_job_that_runs_for_ever():
    with pytest.raises(ConfigurationError, match="--metrics-port: the job ends by itself"):
        serve_metrics("nowhere", 0, None)


TOLD_TO_END = """
import sys, time
from lakehouse.app.command_line import announce, run_job

def main(_):
    announce(sys.argv[1])
    print("begun", flush=True)
    time.sleep(60)

run_job(main)
"""


@pytest.mark.slow
def test_a_job_that_is_told_to_end_is_interrupted_and_not_killed(tmp_path: Path) -> None:
    lakehouse_at(tmp_path)
    words = [sys.executable, "-c", TOLD_TO_END, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "begun\n"
        job.terminate()
        assert job.wait(30) == 130
    (run,) = rows_of(tmp_path, "job_run")
    assert run["outcome"] == "interrupted"
    assert not list((tmp_path / "_system" / "runs").glob("*.json"))


@pytest.mark.slow
def test_a_job_whose_spark_cannot_start_is_on_record(tmp_path: Path) -> None:
    lakehouse_at(tmp_path)
    ended = subprocess.run(
        [sys.executable, "jobs/score.py", "--root", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=environment_of(JAVA_HOME=str(tmp_path), PYTHONPATH=os.getcwd()),  # noqa: PTH109
    )
    assert ended.returncode == 3
    (run,) = rows_of(tmp_path, "job_run")
    assert (run["job"], run["outcome"], run["exit_code"]) == ("score", "failed", 3)
    assert run["error_class"] == "PySparkRuntimeError"
    assert 'lakehouse_last_run_ok{job="score",model="glassware"} 0.0' in (
        exposition_path(tmp_path).read_text()
    )
